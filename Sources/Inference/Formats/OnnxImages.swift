/// An input of a graph that is made of images.
struct OnnxImageInput {
  var name: String
  var input: ImageInput
}

extension OnnxGraph {
  /// Finds the input that images become, and closes the axes that it leaves open.
  ///
  /// - Throws: `.mismatch` where no input can be made of images, or several could.
  mutating func takeImages(
    _ setup: ImageSetup, limits: ModelLimits
  ) throws(ModelError) -> OnnxImageInput {
    let constants = Set(initializers.map(\.name))
    let own = inputs.indices.filter { !constants.contains(inputs[$0].name) }
    let index: Int
    if let name = setup.input {
      guard let found = own.first(where: { inputs[$0].name == name }) else {
        throw ModelError(
          .mismatch, "image: the model has no input \"\(name)\"",
          detail: "It has \(own.map { "\"\(inputs[$0].name)\"" }.joined(separator: ", ")).")
      }
      index = found
    } else {
      let fit = own.filter { inputs[$0].dims?.count == 4 }
      guard let only = fit.first, fit.count == 1 else {
        throw ModelError(
          .mismatch,
          fit.isEmpty
            ? "image: no input of the model has four axes"
            : "image: \(fit.count) inputs have four axes",
          hint: fit.isEmpty ? nil : "Name it: {\"image\": {\"input\": \"\(inputs[fit[0]].name)\"}}."
        )
      }
      index = only
    }
    let name = inputs[index].name
    guard let code = inputs[index].elementType, let dims = inputs[index].dims, dims.count == 4
    else {
      throw ModelError(.mismatch, "image: input \"\(name)\" is no tensor of four axes")
    }
    guard let type = TensorType(rawValue: Int(clamping: code)), type.takesImages else {
      throw ModelError(
        .mismatch,
        "image: input \"\(name)\" is of \(OnnxTypes.name(code)), which images do not become")
    }
    // An axis without a size, as -1 or 0 where an exporter has no name for it.
    let sizes = dims.dropFirst().map { size in size.flatMap { $0 > 0 ? Int(clamping: $0) : nil } }
    let image = try setup.resolved(axes: (sizes[0], sizes[1], sizes[2]), inputName: name)
    guard image.elementCount <= limits.elementCount else {
      throw ModelError(
        .tooLarge, "image: \(image.elementCount) values, the limit is \(limits.elementCount)")
    }
    let (height, width, channels) = (
      Int64(image.height), Int64(image.width), Int64(image.channels.count)
    )
    inputs[index].type = .tensor(
      elementType: code,
      dims: image.layout == .channelsFirst
        ? [dims[0], channels, height, width] : [dims[0], height, width, channels])
    return OnnxImageInput(name: name, input: image)
  }
}
