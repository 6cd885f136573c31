import Foundation
import Inference
import Postgres
import Schema
import Scoring
import Server

/// What a command tells the person who called it, and the status it leaves behind.
struct CommandError: Error {
  enum Status: Int32 {
    case failed = 1
    case usage = 64
    case badData = 65
    case noDatabase = 69
    case badConfiguration = 78
  }

  var status: Status
  /// One clause, no capital, no full stop.
  var message: String
  var detail: String?
  var hint: String?

  init(_ status: Status, _ message: String, detail: String? = nil, hint: String? = nil) {
    self.status = status
    self.message = message
    self.detail = detail
    self.hint = hint
  }

  /// Writes `rowcast: error: …`, then a line each for the detail and the hint, to standard error.
  func print() {
    var text = "rowcast: error: \(message)\n"
    if let detail, !detail.isEmpty { text += "rowcast: detail: \(detail)\n" }
    if let hint, !hint.isEmpty { text += "rowcast: hint: \(hint)\n" }
    FileHandle.standardError.write(Data(Scrubber.scrub(text).utf8))
  }
}

extension CommandError {
  /// Translates any module's error; the fields pass through, the status follows from the code.
  init(describing error: any Error) {
    switch error {
    case let error as CommandError: self = error
    case let error as ModelError:
      self.init(.badData, error.message, detail: error.detail, hint: error.hint)
    case let error as PostgresError: self.init(error)
    case let error as SchemaError: self.init(error)
    case let error as ScoringError: self.init(error)
    case let error as HTTPConfigurationError:
      self.init(.badConfiguration, error.message, hint: error.hint)
    case let error as WorkError:
      switch error {
      case .postgres(let error): self.init(error)
      case .model(let error): self.init(describing: error)
      case .scoring(let error): self.init(error)
      }
    default: self.init(.failed, "\(error)")
    }
  }

  init(_ error: SchemaError) {
    let status: Status =
      switch error.code {
      case .refused, .rights, .roles: .failed
      case .newer, .older, .altered, .serverTooOld, .encoding, .standby: .badConfiguration
      }
    self.init(status, error.message, detail: error.detail, hint: error.hint)
  }

  init(_ error: ScoringError) {
    let status: Status =
      switch error.code {
      case .file, .golden, .model: .badData
      case .scorer: .failed
      case .database: .badConfiguration
      }
    self.init(status, error.message, detail: error.detail, hint: error.hint)
  }

  init(_ error: PostgresError) {
    self.init(
      Self.status(sqlState: error.sqlState), error.message, detail: error.detail,
      hint: error.hint)
    switch error.sqlState {
    case "28P01" where hint == nil:
      hint = "Give the password in the URI, in PGPASSWORD or in ~/.pgpass."
    case "42501" where hint == nil:
      hint = "Ask an administrator of the database for the role this needs."
    case "3F000" where hint == nil, "42P01" where hint == nil, "42883" where hint == nil:
      hint = "Run \"rowcast migrate\" if the database does not have the schema yet."
    default: break
    }
  }

  /// Class 08 (no connection), 28 (no access), 3D000 (no such database), 53300 and 57P (the
  /// server turns everybody away) mean that there is no database to work with.
  private static func status(sqlState: String) -> Status {
    switch sqlState {
    case _ where sqlState.hasPrefix("08"), _ where sqlState.hasPrefix("28"): .noDatabase
    case "3D000", "53300", "57P01", "57P02", "57P03": .noDatabase
    // Groups 1 and 3 of our own codes: models and input.
    case _ where sqlState.hasPrefix("RC1"), _ where sqlState.hasPrefix("RC3"): .badData
    default: .failed
    }
  }
}
