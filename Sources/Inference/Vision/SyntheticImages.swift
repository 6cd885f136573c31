/// Images that look a little like photographs: soft colours with some grain.
package enum SyntheticImages {
  /// JPEGs, each different; the same for the same seed.
  package static func jpegs(count: Int, width: Int, height: Int, seed: UInt64) -> [[UInt8]] {
    (0..<count).compactMap { index in
      var state = seed &+ UInt64(truncatingIfNeeded: index) &* 0x9E37_79B9_7F4A_7C15 | 1
      func next() -> UInt64 {
        // xorshift64 (Marsaglia 2003).
        state ^= state << 13
        state ^= state >> 7
        state ^= state << 17
        return state
      }
      // Colours at the corners of a coarse grid, between which they change evenly.
      let grid = 8
      let corners = (0..<(grid + 1) * (grid + 1) * 3).map { _ in Int32(next() >> 56) }
      var pixels: [UInt8] = []
      pixels.reserveCapacity(width * height * 3)
      for y in 0..<height {
        let (row, down) = (y * grid / height, Int32(y * grid % height * 256 / height))
        for x in 0..<width {
          let (column, across) = (x * grid / width, Int32(x * grid % width * 256 / width))
          let grain = Int32(next() >> 60) - 8
          for channel in 0..<3 {
            func corner(_ right: Int, _ below: Int) -> Int32 {
              corners[((row + below) * (grid + 1) + column + right) * 3 + channel]
            }
            let upper = corner(0, 0) * (256 - across) + corner(1, 0) * across
            let lower = corner(0, 1) * (256 - across) + corner(1, 1) * across
            let value = (upper * (256 - down) + lower * down) >> 16
            pixels.append(UInt8(max(0, min(255, value + grain))))
          }
        }
      }
      return JPEGEncoder.encode(pixels, width: width, height: height, channels: 3)
    }
  }
}

extension ImageInput {
  /// Rows for measurements: a few images of the size that the input is cut from, over and over.
  func syntheticColumn(count: Int, seed: UInt64) -> Column {
    let short = min(fit == .crop ? shorterSide : min(width, height), 2048)
    let images = SyntheticImages.jpegs(
      count: min(count, 8), width: short * 4 / 3, height: short, seed: seed)
    return Column(.bytes((0..<count).map { images.isEmpty ? [] : images[$0 % images.count] }))
  }
}
