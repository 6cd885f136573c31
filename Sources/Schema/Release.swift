/// The release that this code was built as.
public enum Release {
  public static let version = "0.1.0"
}
