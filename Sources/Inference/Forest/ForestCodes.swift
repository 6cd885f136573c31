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
  /// Views of numbered categories, which lie behind all others in bytes row by row; else 0.
  let categoryViewCount: Int
  /// The model's numbers of the features that are read, ascending.
  let features: [Int]
  /// Elements of a row, where rows lie one by one.
  let stride: Int
  let byteCount: Int
  private let firstViews: [Int]
  private let ranksPerView: Int
  private let table: KernelTable<ck_forest_feature>
  /// For each view of floats.
  private let rules: KernelTable<ck_forest_missing>
  /// What C encodes by; points into the tables.
  let layout: KernelTable<ck_forest_codes>
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
    var firstViews = counts
    var first = 0
    var last = 0
    for isLast in kind == .bytesByRow ? [false, true] : [nil] {
      for (view, count) in counts.enumerated()
      where isLast == nil || views.views[view].isCategories == isLast {
        firstViews[view] = first
        first += count
        last += isLast == true ? count : 0
      }
    }
    (viewCount, categoryViewCount) = (first, last)
    self.firstViews = firstViews
    guard viewCount <= (kind == .bytesByRow ? 256 : ForestRanking.mostViews) else { return nil }
    stride = kind == .bytesByRow ? max((viewCount + 15) / 16 * 16, 16) : max(viewCount, 1)

    var features: [Int] = []
    var entries: [ck_forest_feature] = []
    var rules: [ck_forest_missing] = []
    var parts: [AnyObject] = []
    var byteCount = 0
    var start = 0
    while start < views.views.count {
      let feature = views.views[start].feature
      let mine = views.views[start...].prefix { $0.feature == feature }
      features.append(Int(feature))
      if kind == .floats {
        var entry = ck_forest_feature()
        (entry.first_view, entry.view_count) = (UInt32(rules.count), UInt32(mine.count))
        entry.column = UInt32(feature)
        entries.append(entry)
        rules += mine.map(Self.rule)
      } else {
        guard
          mine.allSatisfy({ $0.isCategories == mine.first!.isCategories }) || kind != .bytesByRow
        else { return nil }
        let (entry, owned, bytes) = Self.feature(
          views, mine, kind: kind, first: firstViews[start], counts: counts)
        entries.append(entry)
        parts += owned
        byteCount += bytes
      }
      start = mine.endIndex
    }
    self.features = features
    self.rules = KernelTable(rules)
    self.parts = parts
    table = KernelTable(entries)
    let isByView = kind == .bytesByView
    layout = KernelTable([
      ck_forest_codes(
        kind: kind == .floats
          ? CK_FOREST_FLOATS : kind == .words ? CK_FOREST_WORDS : CK_FOREST_BYTES,
        features: table.base, feature_count: entries.count, rules: self.rules.base,
        view_step: isByView ? Int(CK_FOREST_ROWS) : 1, row_step: isByView ? 1 : stride)
    ])
    self.byteCount =
      byteCount + table.byteCount + firstViews.count * 8 + features.count * 8 + rules.count * 4
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
      case (.categories, .bytesByRow) where view.nanCategory < 256: counts.append(1)
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
  func place(view: Int32, rank: Int32) -> Place {
    // Most views have one piece; a division would take longer than all else.
    if Int(rank) < ranksPerView { return Place(view: firstViews[Int(view)], cut: Int(rank)) }
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
      if view.isCategories, kind == .bytesByRow {
        codes.append(contentsOf: seen.map { UInt16($0) })
        continue
      }
      if view.isCategories, !isWide {
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

  /// Encodes the values, `stride` apart, of the feature at `index` of `features`.
  func encode(
    _ values: UnsafePointer<Float>, stride: Int, count: Int, feature index: Int,
    into codes: UnsafeMutableRawPointer
  ) {
    ck_forest_encode_f32(layout.base, index, values, stride, count, codes)
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
