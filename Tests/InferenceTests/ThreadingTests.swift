import FuzzChecks
import Inference
import Testing

/// One model, many threads: a row's result depends on none of the others.
@Suite("Threads")
struct ThreadingTests {
  @Test(
    "score the same bits at once as alone",
    arguments: [
      "lightgbm_multiclass", "xgboost_dart", "columns_pipeline", "random_forest_classifier",
      "svc_rbf_probability", "mlp_classifier",
    ])
  func sameBits(name: String) async throws {
    let model = try Model.load(try ParityCase.read(name).bytes())
    let rows = model.syntheticRows(count: 700)
    let alone = try model.predict(rows, workspace: Workspace())
    try await withThrowingTaskGroup(of: Predictions.self) { group in
      for _ in 0..<8 {
        group.addTask {
          let workspace = Workspace()
          // The workspace has been used before, for other batches.
          _ = try model.predict(model.syntheticRows(count: 5, seed: 7), workspace: workspace)
          return try model.predict(rows, workspace: workspace)
        }
      }
      for try await together in group {
        #expect(together.failures == alone.failures)
        #expect(together.columns == alone.columns)
      }
    }
  }
}
