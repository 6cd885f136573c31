import Foundation
import Inference
import Postgres

/// Compares predictions of a table whose rows name their model with what the engine says.
struct RoutedCheck {
  let stage: BenchStage
  /// Of the models' names; the row's device is the rest.
  let prefix: String
  let features: [String]
  let model: (Int) -> [UInt8]

  /// Rows of a sample whose prediction is missing, by another model, or differs in a bit.
  func differing(
    _ connection: Connection, scorer: String, table: String, sample: Int
  ) throws -> Int {
    let columns = features.map { "t." + $0 }.joined(separator: ", ")
    let found = try connection.run(
      Query(
        text: """
          select p.score, t.device, p.model_name, \(columns)
          from \(stage.table(table)) as t left join predictions.\(scorer) as p using (id)
          order by hashint8(id), id limit $1
          """, values: [Int64(sample)]))
    let workspace = Workspace()
    var models: [Int: Model] = [:]
    var differing = 0
    for row in 0..<found.count {
      let device = Int(try found.value(row, "device", as: Int32.self))
      let values = try features.map {
        Column(.float32([try found.value(row, $0, as: Float.self)]))
      }
      let model = try models[device] ?? Model.load(model(device))
      models[device] = model
      let answer = try model.predict(
        Batch(rowCount: 1, columns: values), workspace: workspace)
      guard case .float64(let scores) = answer.columns[0].values,
        let score = try found.value(row, "score", as: Double?.self),
        score.bitPattern == scores[0].bitPattern,
        try found.value(row, "model_name", as: String?.self) == "\(prefix)\(device)"
      else {
        differing += 1
        continue
      }
    }
    return differing
  }
}
