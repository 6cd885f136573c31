extension OperatorRegistry {
  /// ai.onnx.ml
  static let machineLearningOperators: [String: OperatorFactory] = [
    "ArrayFeatureExtractor": { node throws(ModelError) in try ArrayFeatureExtractor(node) },
    "Binarizer": Binarizer.make,
    "FeatureVectorizer": { node throws(ModelError) in try FeatureVectorizer(node) },
    "Imputer": { node throws(ModelError) in try Imputer(node) },
    "LabelEncoder": { node throws(ModelError) in try LabelEncoder(node) },
    "LinearClassifier": LinearClassifier.make,
    "LinearRegressor": LinearRegressor.make,
    "Normalizer": Normalizer.make,
    "OneHotEncoder": { node throws(ModelError) in try OneHotEncoder(node) },
    "SVMClassifier": SVMClassifier.make,
    "SVMRegressor": SVMRegressor.make,
    "Scaler": { node throws(ModelError) in try Scaler(node) },
    "TreeEnsembleClassifier": TreeEnsemble.classifier,
    "TreeEnsembleRegressor": TreeEnsemble.regressor,
    "ZipMap": { node throws(ModelError) in try ZipMap(node) },
  ]
}
