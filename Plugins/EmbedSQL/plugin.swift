import Foundation
import PackagePlugin

/// Embeds `migrations/` and `sql/` into the target as one generated Swift file.
///
/// SwiftPM asks a plugin for its inputs only when the package changes, so a list of SQL files would
/// miss the edits of a file that is new. The one input is therefore a stamp that the tool renews
/// whenever it runs: it runs in every build, and leaves its output alone where nothing changed.
@main struct EmbedSQL: BuildToolPlugin {
  func createBuildCommands(context: PluginContext, target: any Target) throws -> [Command] {
    let stamp = context.pluginWorkDirectoryURL.appending(path: "stamp")
    if !FileManager.default.fileExists(atPath: stamp.path(percentEncoded: false)) {
      try Data().write(to: stamp)
    }
    let output = context.pluginWorkDirectoryURL.appending(path: "EmbeddedSQL.swift")
    let paths = [output, stamp, context.package.directoryURL]
    return [
      .buildCommand(
        displayName: "Embed SQL",
        executable: try context.tool(named: "EmbedSQLTool").url,
        arguments: paths.map { $0.path(percentEncoded: false) },
        inputFiles: [stamp],
        outputFiles: [output])
    ]
  }
}
