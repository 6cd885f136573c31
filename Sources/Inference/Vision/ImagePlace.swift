/// How an image lies in a network's input: what a pixel of the input was before.
struct ImagePlace: Equatable {
  /// Of the image, turned as it is seen.
  var width: Float
  var height: Float
  /// Pixels of the input for one of the image.
  var scaleX: Float
  var scaleY: Float
  /// Where the image's corner is in the input; negative where it is cut off.
  var left: Float
  var top: Float

  /// A coordinate of the input as one of the image, at its edge where it lies beyond.
  func x(_ place: Float) -> Float { max(0, min(width, (place - left) / scaleX)) }
  func y(_ place: Float) -> Float { max(0, min(height, (place - top) / scaleY)) }
}
