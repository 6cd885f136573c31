extension OperatorRegistry {
  /// ai.onnx.ml
  static let machineLearningOperators: [String: OperatorFactory] = [
    "ArrayFeatureExtractor": { node throws(ModelError) in try ArrayFeatureExtractor(node) },
    "Binarizer": { node throws(ModelError) in try Binarizer(node) },
    "CastMap": { node throws(ModelError) in try CastMap(node) },
    "CategoryMapper": CategoryMapper.make,
    "DictVectorizer": { node throws(ModelError) in try DictVectorizer(node) },
    "FeatureVectorizer": { node throws(ModelError) in try FeatureVectorizer(node) },
    "Imputer": { node throws(ModelError) in try Imputer(node) },
    "LabelEncoder": LabelEncoder.make,
    "LinearClassifier": LinearClassifier.make,
    "LinearRegressor": LinearRegressor.make,
    "Normalizer": Normalizer.make,
    "OneHotEncoder": { node throws(ModelError) in try OneHotEncoder(node) },
    "SVMClassifier": SVMClassifier.make,
    "SVMRegressor": SVMRegressor.make,
    "Scaler": { node throws(ModelError) in try Scaler(node) },
    "TreeEnsemble": TreeEnsemble.ofTensors,
    "TreeEnsembleClassifier": TreeEnsemble.classifier,
    "TreeEnsembleRegressor": TreeEnsemble.regressor,
    "ZipMap": { node throws(ModelError) in try ZipMap(node) },
  ]
}
