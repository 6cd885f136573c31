internal import CKernels

/// What kernels are given in place of a row's values, and how values become that.
///
/// See `ck_forest.h` for codes, views, ranks and cuts.
final class ForestCodes: @unchecked Sendable {
  enum Kind: Sendable {
    /// One-byte ranks view by view, `CK_FOREST_ROWS` rows a block.
    case bytesByView
    /// One-byte ranks row by row.
    case bytesByRow
    /// Two-byte ranks row by row.
    case words
    /// The floats themselves row by row.
    case floats
  }

  /// Where a split looks, and the largest code there that goes left.
  struct Place {
    var view: Int
    var cut: Int
  }

  let kind: Kind
  let viewCount: Int
  /// The model's numbers of the features that are read, ascending.
  let features: [Int]
  /// Elements of a row, where rows lie one by one.
  let stride: Int
  let byteCount: Int
  private let firstViews: [Int]
  private let ranksPerView: Int
  fileprivate let table: KernelTable<ck_forest_feature>
  private let missing: [(first: Int, rules: [ck_forest_missing])]
  /// What `table` points into.
  private let parts: [AnyObject]

  /// Nil where the views do not fit the kind.
  ///
  /// - Parameter views: with thresholds ranked, but for floats.
  init?(_ views: ForestRanking, kind: Kind) {
    self.kind = kind
    let counts = Self.viewCounts(views, kind: kind)
    guard let counts else { return nil }
    ranksPerView = kind == .words ? 65_535 : 255
    var first = 0
    firstViews = counts.map { count in
      defer { first += count }
      return first
    }
    viewCount = first
    guard viewCount <= (kind == .bytesByRow ? 256 : ForestRanking.mostViews) else { return nil }
    stride = kind == .bytesByRow ? max((viewCount + 15) / 16 * 16, 16) : max(viewCount, 1)

    var features: [Int] = []
    var entries: [ck_forest_feature] = []
    var missing: [(first: Int, rules: [ck_forest_missing])] = []
    var parts: [AnyObject] = []
    var byteCount = 0
    var start = 0
    while start < views.views.count {
      let feature = views.views[start].feature
      let mine = views.views[start...].prefix { $0.feature == feature }
      features.append(Int(feature))
      if kind == .floats {
        missing.append((firstViews[start], mine.map(Self.rule)))
      } else {
        let (entry, owned, bytes) = Self.feature(
          views, mine, kind: kind, first: firstViews[start], counts: counts)
        entries.append(entry)
        parts += owned
        byteCount += bytes
      }
      start = mine.endIndex
    }
    self.features = features
    self.missing = missing
    self.parts = parts
    table = KernelTable(entries)
    self.byteCount =
      byteCount + table.byteCount + firstViews.count * 8 + features.count * 8 + missing.count * 40
  }

  /// How many codes each view takes; nil where one does not fit.
  private static func viewCounts(_ views: ForestRanking, kind: Kind) -> [Int]? {
    var counts: [Int] = []
    for (view, thresholds) in zip(views.views, views.thresholdCounts) {
      switch (view.kind, kind) {
      case (.thresholds, .bytesByView), (.thresholds, .bytesByRow):
        counts.append(max((thresholds + 254) / 255, 1))
      case (.thresholds, .words): counts.append(max((thresholds + 65_534) / 65_535, 1))
      case (.thresholds, .floats), (.test, .bytesByView), (.test, .bytesByRow), (.test, .words):
        counts.append(1)
      case (.categories, .bytesByView) where view.nanCategory < 128: counts.append(2)
      case (.categories, .words) where view.nanCategory < 65_536: counts.append(1)
      default: return nil
      }
    }
    return counts
  }

  private static func rule(_ view: ForestRanking.View) -> ck_forest_missing {
    switch (view.missing, view.missingLeft) {
    case (.none, _): CK_FOREST_NAN_ZERO
    case (.nan, true): CK_FOREST_NAN_LEFT
    case (.nan, false): CK_FOREST_NAN_RIGHT
    case (.zero, true): CK_FOREST_ZERO_LEFT
    case (.zero, false): CK_FOREST_ZERO_RIGHT
    }
  }

  /// Where a split of thresholds or of a single test looks.
  @inline(__always)
  func place(view: Int32, rank: Int32) -> Place {
    let (piece, cut) = Int(rank).quotientAndRemainder(dividingBy: ranksPerView)
    return Place(view: firstViews[Int(view)] + piece, cut: cut)
  }

  // MARK: Tables

  private static func feature(
    _ views: ForestRanking, _ mine: ArraySlice<ForestRanking.View>, kind: Kind, first: Int,
    counts: [Int]
  ) -> (ck_forest_feature, [AnyObject], bytes: Int) {
    let cuts = views.cuts(of: mine)
    let isWide = kind == .words
    let flip = isWide ? 0 : 0x80
    let search = CutSearch(cuts)
    let doubles = KernelTable(search.cuts)
    let floats = KernelTable(search.cuts.map(roundedDown))
    var entry = ck_forest_feature()
    entry.cuts_f32 = floats.base
    entry.cuts_f64 = doubles.base
    withUnsafeMutableBytes(of: &entry.levels) { bytes in
      bytes.copyBytes(from: search.levels.withUnsafeBytes { Array($0) })
    }
    entry.level_count = UInt32(search.levels.count)
    entry.nan_rank = UInt32(cuts.count + 1)
    entry.first_view = UInt32(first)
    entry.view_count = UInt32(mine.indices.reduce(0) { $0 + counts[$1] })
    entry.column = UInt32(mine.first!.feature)
    entry.flip = UInt16(flip)
    var parts: [AnyObject] = [doubles, floats]
    var bytes = doubles.byteCount + floats.byteCount

    // Ranks of a single view that holds all cuts need no table.
    let isWhole =
      mine.count == 1 && counts[mine.startIndex] == 1 && mine.first!.cuts.count == cuts.count
    if isWhole, case .thresholds = mine.first!.kind, mine.first!.missing != .zero {
      let seen = views.table(of: mine.first!, cuts: cuts)
      entry.nan_code = UInt16(seen.last! ^ flip)
      return (entry, parts, bytes)
    }
    var codes: [UInt16] = []
    for (index, view) in zip(mine.indices, mine) {
      let seen = views.table(of: view, cuts: cuts)
      if case .categories = view.kind, !isWide {
        codes.append(contentsOf: seen.map { UInt16($0 / 8) })
        codes.append(contentsOf: seen.map { 1 << UInt16($0 % 8) })
        continue
      }
      let most = isWide ? 65_535 : 255
      for piece in 0..<counts[index] {
        codes.append(
          contentsOf: seen.map { UInt16(min(max($0 - piece * most, 0), most) ^ flip) })
      }
    }
    if isWide {
      let table = KernelTable(codes)
      entry.tables = UnsafeRawPointer(table.base)
      parts.append(table)
      bytes += table.byteCount
    } else {
      let table = KernelTable(codes.map { UInt8($0) })
      entry.tables = UnsafeRawPointer(table.base)
      parts.append(table)
      bytes += table.byteCount
    }
    return (entry, parts, bytes)
  }

  /// The largest float that is not above the value.
  static func roundedDown(_ value: Double) -> Float {
    let nearest = Float(value)
    return Double(nearest) > value ? nearest.nextDown : nearest
  }

  // MARK: Encoding

  /// Bytes that the codes of a block take.
  func byteCount(rows: Int) -> Int {
    switch kind {
    case .bytesByView: max(viewCount, 1) * Int(CK_FOREST_ROWS)
    case .bytesByRow: stride * rows
    case .words: stride * rows * 2
    case .floats: stride * rows * 4
    }
  }

  fileprivate var steps: (view: Int, row: Int) {
    kind == .bytesByView ? (Int(CK_FOREST_ROWS), 1) : (1, stride)
  }

  /// Encodes the values, `stride` apart, of the feature at `index` of `features`.
  func encode(
    _ values: UnsafePointer<Float>, stride: Int, count: Int, feature index: Int,
    into codes: UnsafeMutableRawPointer
  ) {
    let (viewStep, rowStep) = steps
    switch kind {
    case .bytesByView, .bytesByRow:
      ck_forest_encode_u8_f32(
        table.base + index, values, stride, count, codes.assumingMemoryBound(to: UInt8.self),
        viewStep, rowStep)
    case .words:
      ck_forest_encode_u16_f32(
        table.base + index, values, stride, count, codes.assumingMemoryBound(to: UInt16.self),
        viewStep, rowStep)
    case .floats:
      let target = codes.assumingMemoryBound(to: Float.self) + missing[index].first
      for (view, rule) in missing[index].rules.enumerated() {
        ck_forest_encode_float(rule, values, stride, count, target + view, rowStep)
      }
    }
  }

  func encode(
    _ values: UnsafePointer<Double>, stride: Int, count: Int, feature index: Int,
    into codes: UnsafeMutableRawPointer
  ) {
    let (viewStep, rowStep) = steps
    switch kind {
    case .bytesByView, .bytesByRow:
      ck_forest_encode_u8_f64(
        table.base + index, values, stride, count, codes.assumingMemoryBound(to: UInt8.self),
        viewStep, rowStep)
    case .words:
      ck_forest_encode_u16_f64(
        table.base + index, values, stride, count, codes.assumingMemoryBound(to: UInt16.self),
        viewStep, rowStep)
    case .floats:
      preconditionFailure("kernels of floats are not chosen where values are doubles")
    }
  }
}

extension ForestCodes {
  /// Encodes all features of a block.
  ///
  /// - Parameters:
  ///   - columns: the values of each of `features`, side by side.
  func encode(
    columns: UnsafePointer<UnsafePointer<Float>?>, count: Int, into codes: UnsafeMutableRawPointer
  ) {
    guard kind == .bytesByView || kind == .bytesByRow else {
      for index in features.indices {
        encode(columns[index]!, stride: 1, count: count, feature: index, into: codes)
      }
      return
    }
    ck_forest_encode_all_u8_f32(
      table.base, features.count, columns, nil, 0, count,
      codes.assumingMemoryBound(to: UInt8.self), steps.view, steps.row)
  }

  func encode(
    columns: UnsafePointer<UnsafePointer<Double>?>, count: Int,
    into codes: UnsafeMutableRawPointer
  ) {
    guard kind == .bytesByView || kind == .bytesByRow else {
      for index in features.indices {
        encode(columns[index]!, stride: 1, count: count, feature: index, into: codes)
      }
      return
    }
    ck_forest_encode_all_u8_f64(
      table.base, features.count, columns, nil, 0, count,
      codes.assumingMemoryBound(to: UInt8.self), steps.view, steps.row)
  }

  /// - Parameter rows: values row by row, `width` each.
  func encode(
    rows: UnsafePointer<Float>, width: Int, count: Int, into codes: UnsafeMutableRawPointer
  ) {
    guard kind == .bytesByView || kind == .bytesByRow else {
      for (index, feature) in features.enumerated() {
        encode(rows + feature, stride: width, count: count, feature: index, into: codes)
      }
      return
    }
    ck_forest_encode_all_u8_f32(
      table.base, features.count, nil, rows, width, count,
      codes.assumingMemoryBound(to: UInt8.self), steps.view, steps.row)
  }

  func encode(
    rows: UnsafePointer<Double>, width: Int, count: Int, into codes: UnsafeMutableRawPointer
  ) {
    guard kind == .bytesByView || kind == .bytesByRow else {
      for (index, feature) in features.enumerated() {
        encode(rows + feature, stride: width, count: count, feature: index, into: codes)
      }
      return
    }
    ck_forest_encode_all_u8_f64(
      table.base, features.count, nil, rows, width, count,
      codes.assumingMemoryBound(to: UInt8.self), steps.view, steps.row)
  }
}

/// Cuts laid out as a tree of sixteens, its single topmost block first.
private struct CutSearch {
  var cuts: [Double] = []
  var levels: [UInt32] = []

  init(_ sorted: [Double]) {
    // Below the only block nothing is looked up, so that sixteen cuts may fill it.
    let places = sorted.count <= 16 ? 16 : (sorted.count / 16 + 1) * 16
    var upward = [sorted + Array(repeating: .infinity, count: places - sorted.count)]
    while let below = upward.last, below.count > 16 {
      let lasts = stride(from: 15, to: below.count, by: 16).map { below[$0] }
      let whole = (lasts.count + 15) / 16 * 16
      upward.append(lasts + Array(repeating: .infinity, count: whole - lasts.count))
    }
    for level in upward.reversed() {
      levels.append(UInt32(cuts.count))
      cuts.append(contentsOf: level)
    }
  }
}
