internal import Foundation

/// Makes a model of an ONNX file.
enum OnnxImporter {
  /// - Parameters:
  ///   - labels: Names for the classes, in the model's order.
  ///   - directory: Where files that hold the data of tensors are.
  ///   - reasons: How many of each row's largest contributions are answered.
  ///   - device: Where it is to run.
  /// - Throws: `ModelError` that names the node, tensor or input at fault.
  static func load(
    _ bytes: [UInt8], labels: [String]?, limits: ModelLimits, reasons: Int = 0,
    setup: ModelSetup = ModelSetup(), device: Device = .cpu, directory: String? = nil
  ) throws(ModelError) -> Model {
    var file = try OnnxModel(
      bytes, limits: limits, files: directory.map(ExternalFiles.init(folder:)))
    guard setup.objects == nil || setup.image != nil else {
      throw ModelError(
        .mismatch, "objects are found in images, and it is not said how they become the input",
        hint: "Give image too, as in --image auto.")
    }
    if setup.image == nil, OnnxNetwork.isNetwork(file.graph) {
      guard reasons == 0 else {
        throw ModelError(.mismatch, "a network of tensors gives no reasons")
      }
      if let text = setup.text {
        return try TextNetwork.model(
          try OnnxNetwork.load(&file, labels: nil, limits: limits, device: device),
          setup: text,
          labels: labels,
          softmax: setup.softmax ?? false, limits: limits)
      }
      guard setup.softmax != true else {
        throw ModelError(.mismatch, "softmax is given for a network that reads no images or texts")
      }
      return try OnnxNetwork.load(
        &file, labels: labels, limits: limits, device: device)
    }
    let backend = try ExecutionBackends.backend(for: device, isNetwork: setup.image != nil)
    guard setup.text == nil else {
      throw ModelError(.mismatch, "text: the model's inputs are no sequences of tokens")
    }
    let keys = try file.graph.replaceMapInputs(limits)
    try file.graph.splitSequenceOutputs(limits)
    let image = try setup.image.map { image throws(ModelError) in
      try file.graph.takeImages(image, limits: limits)
    }
    var limits = limits
    if let image { limits.features = max(limits.features, image.input.elementCount) }
    // Lists of objects are made image by image.
    var hasLists = false
    if setup.objects != nil {
      guard setup.softmax != true else {
        throw ModelError(.mismatch, "softmax is given for a network that finds objects")
      }
      hasLists = file.graph.hasListsOfObjects
      if hasLists { try file.graph.padObjects(to: ObjectSetup.mostObjects) }
    } else {
      try file.graph.nameClasses(
        labels, softmax: setup.softmax ?? false, opsets: file.opsets, limits: limits,
        isNetwork: image != nil)
    }
    var graph = try Graph(
      file.graph, opsets: file.opsets, limits: limits, explains: reasons > 0,
      isNetwork: image != nil, isOfOneRow: hasLists)
    let features = try features(
      of: graph, keys: keys, metadata: file.metadata, image: image, limits: limits)
    var finder: ObjectFinder?
    if let objects = setup.objects, let image {
      finder = try Self.finder(graph, objects, labels: labels, image)
    }
    let outputs =
      try finder != nil
      ? nil
      : OnnxOutputs(
        graph, file.graph, labels: labels, keepsVectors: image != nil, limits: limits)
    if image != nil {
      let weights = WeightStore(file.graph, isShared: false)
      file.graph = OnnxGraph()
      graph.lowerNetwork(weights)
    }
    let plan = try Plan(graph, limits: limits)
    try backend.load(plan)
    let constants = graph.values.reduce(0) { sum, info in
      sum + (info.constant.map { $0.count * $0.type.stride } ?? 0)
    }
    let packed = graph.steps.reduce(0) { $0 + $1.operation.constantByteCount }
    var predictor: any Predictor = GraphPredictor(
      plan: plan, features: features, outputs: outputs?.slots ?? [], finder: finder,
      backend: backend)
    var columns = outputs?.columns ?? ObjectFinder.signature
    if reasons > 0 {
      guard image == nil else {
        throw ModelError(.unsupported, "predictions of images have no reasons to be told")
      }
      (predictor, columns) = try explained(
        predictor, columns, graph, features: features, reasons: reasons)
    }
    return Model(
      format: .onnx,
      signature: Signature(
        features: features.map { feature in
          Signature.Feature(
            name: feature.name, type: feature.image != nil ? .bytes : feature.type.elementType,
            missing: feature.mayBeMissing ? .allowed : .refused, isUsed: feature.isRead,
            image: feature.image?.input)
        },
        outputs: columns),
      // Operators keep copies of their attributes, about as large as the file.
      byteCount: constants + bytes.count + packed,
      givesReasons: graph.hasExplanation && image == nil, device: backend.device,
      predictor: predictor)
  }

  private static func finder(
    _ graph: Graph, _ setup: ObjectSetup, labels: [String]?, _ image: OnnxImageInput
  ) throws(ModelError) -> ObjectFinder {
    try setup.validate()
    var outputs: [(name: String, shape: [Int])] = []
    for output in graph.outputs {
      let shape = graph.values[output.value].shape
      guard shape.rowAxis == 0 || graph.isOfOneRow && shape.dims.first == 1,
        graph.values[output.value].type != .string
      else {
        throw ModelError(
          .mismatch, "objects: output \"\(output.name)\" of shape \(shape) is not row by row")
      }
      let own = shape.rowTensor
      outputs.append((output.name, own == [1] ? [] : own))
    }
    return ObjectFinder(
      try ObjectOutputs(outputs, objectness: setup.objectness ?? false), setup: setup,
      labels: labels, input: image.input)
  }

  /// A feature for each element of a row of each input.
  ///
  /// Names come from the metadata entry `feature_names`, a JSON array, where it has as many;
  /// else from the input, numbered where it is wide, or with the keys of what was a map.
  private static func features(
    of graph: Graph, keys: [String: [String]], metadata: [String: String], image: OnnxImageInput?,
    limits: ModelLimits
  ) throws(ModelError) -> [GraphPredictor.FeatureSlot] {
    var slots: [GraphPredictor.FeatureSlot] = []
    let missing = graph.mayBeMissing()
    let read = graph.readElements()
    for (index, input) in graph.inputs.enumerated() {
      let info = graph.values[input.value]
      let width = info.shape.elementCount
      guard slots.count + width <= limits.features else {
        throw ModelError(.tooLarge, "model has more than \(limits.features) features")
      }
      if let image, image.name == input.name {
        let isRead = read[index].contains(true)
        slots.append(
          GraphPredictor.FeatureSlot(
            input: index, element: 0, width: width, type: info.type, name: input.name,
            mayBeMissing: !isRead, isRead: isRead, image: ImageReader(image.input)))
        continue
      }
      for element in 0..<width {
        slots.append(
          GraphPredictor.FeatureSlot(
            input: index, element: element, width: width, type: info.type,
            name: keys[input.name].map { "\(input.name)_\($0[element])" }
              ?? (width == 1 ? input.name : "\(input.name)_\(element)"),
            mayBeMissing: missing[index][element] || !read[index][element],
            isColumn: info.shape.rowAxis == 1, isRead: read[index][element]))
      }
    }
    guard let text = metadata["feature_names"] else { return slots }
    guard let names = try? JSONDecoder().decode([String].self, from: Data(text.utf8)) else {
      throw ModelError(.malformed, "metadata \"feature_names\" is not a JSON array of strings")
    }
    guard names.count == slots.count, Set(names).count == names.count else {
      throw ModelError(
        .malformed,
        "metadata \"feature_names\" has \(Set(names).count) different names for "
          + "\(slots.count) features")
    }
    return zip(slots, names).map { slot, name in slot.named(name) }
  }
}

extension GraphPredictor.FeatureSlot {
  fileprivate func named(_ name: String) -> Self {
    Self(
      input: input, element: element, width: width, type: type, name: name,
      mayBeMissing: mayBeMissing, isColumn: isColumn, isRead: isRead, image: image)
  }
}

extension TensorType {
  /// The type that a signature shows.
  var elementType: ElementType {
    switch self {
    case .float32, .float16, .bfloat16: .float32
    case .float64: .float64
    case .uint8, .int8, .uint16, .int16, .int32, .int64, .uint32, .uint64: .int64
    case .string: .string
    case .bool: .bool
    // No graph has such inputs or outputs.
    default: .float32
    }
  }
}
