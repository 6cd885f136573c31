import ArgumentParser

struct Bench: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Measure the appliance against its floors, or the engine alone.",
    discussion: """
      Without a subcommand, or with the name of a part, measures the appliance: "rowcast help bench \
      database" has the parts.

      EXAMPLE
        rowcast bench
        rowcast bench bulk --rows 200000 --json > bulk.json
        rowcast bench held-snapshot soak --minutes 10
        rowcast bench ask
        rowcast bench engine --model churn.txt --rows golden.csv
        rowcast bench load --model churn.txt
        rowcast bench job --rows 10000000
        rowcast bench models
        rowcast bench images
      """,
    subcommands: [
      DatabaseBench.self, AskBench.self, EngineBench.self, LoadBench.self, JobBench.self,
      ModelsBench.self, ImagesBench.self,
    ],
    defaultSubcommand: DatabaseBench.self)
}
