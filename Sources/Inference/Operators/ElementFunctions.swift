/// A function of two numbers of one type, compiled for each type.
protocol ArithmeticFunction: Sendable {
  static func floats<T: BinaryFloatingPoint>(_ a: T, _ b: T) -> T
  static func integers<T: FixedWidthInteger>(_ a: T, _ b: T) -> T
}

/// A test of two values of one type.
protocol ComparisonFunction: Sendable {
  static func compare<T: Comparable>(_ a: T, _ b: T) -> Bool
}

/// A function of one number that keeps its type.
protocol SignFunction: Sendable {
  static func floats<T: BinaryFloatingPoint>(_ x: T) -> T
  static func integers<T: FixedWidthInteger>(_ x: T) -> T
}

// MARK: Arithmetic

enum Addition: ArithmeticFunction {
  static func floats<T: BinaryFloatingPoint>(_ a: T, _ b: T) -> T { a + b }
  static func integers<T: FixedWidthInteger>(_ a: T, _ b: T) -> T { a &+ b }
}

enum Subtraction: ArithmeticFunction {
  static func floats<T: BinaryFloatingPoint>(_ a: T, _ b: T) -> T { a - b }
  static func integers<T: FixedWidthInteger>(_ a: T, _ b: T) -> T { a &- b }
}

enum Multiplication: ArithmeticFunction {
  static func floats<T: BinaryFloatingPoint>(_ a: T, _ b: T) -> T { a * b }
  static func integers<T: FixedWidthInteger>(_ a: T, _ b: T) -> T { a &* b }
}

/// Of integers: nothing to divide by gives zero, and the one quotient that is too large stays.
enum Division: ArithmeticFunction {
  static func floats<T: BinaryFloatingPoint>(_ a: T, _ b: T) -> T { a / b }
  static func integers<T: FixedWidthInteger>(_ a: T, _ b: T) -> T {
    b == 0 ? 0 : a.dividedReportingOverflow(by: b).partialValue
  }
}

/// The greater number; NaN where one is.
enum Maximum: ArithmeticFunction {
  static func floats<T: BinaryFloatingPoint>(_ a: T, _ b: T) -> T {
    a.isNaN || b.isNaN ? .nan : (a > b ? a : b)
  }
  static func integers<T: FixedWidthInteger>(_ a: T, _ b: T) -> T { max(a, b) }
}

/// The lesser number; NaN where one is.
enum Minimum: ArithmeticFunction {
  static func floats<T: BinaryFloatingPoint>(_ a: T, _ b: T) -> T {
    a.isNaN || b.isNaN ? .nan : (a < b ? a : b)
  }
  static func integers<T: FixedWidthInteger>(_ a: T, _ b: T) -> T { min(a, b) }
}

/// The remainder with the divisor's sign, as Python's `%`; 0 where there is nothing to divide by.
enum PythonRemainder: ArithmeticFunction {
  static func floats<T: BinaryFloatingPoint>(_ a: T, _ b: T) -> T {
    let remainder = a.truncatingRemainder(dividingBy: b)
    return remainder != 0 && (remainder < 0) != (b < 0) ? remainder + b : remainder
  }
  static func integers<T: FixedWidthInteger>(_ a: T, _ b: T) -> T {
    guard b != 0 else { return 0 }
    let remainder = a.remainderReportingOverflow(dividingBy: b).partialValue
    return remainder != 0 && (remainder < 0) != (b < 0) ? remainder &+ b : remainder
  }
}

/// The remainder with the dividend's sign, as C's `fmod` and `%`.
enum CRemainder: ArithmeticFunction {
  static func floats<T: BinaryFloatingPoint>(_ a: T, _ b: T) -> T {
    a.truncatingRemainder(dividingBy: b)
  }
  static func integers<T: FixedWidthInteger>(_ a: T, _ b: T) -> T {
    b == 0 ? 0 : a.remainderReportingOverflow(dividingBy: b).partialValue
  }
}

// MARK: Bits

/// Of integers alone: floating-point numbers have no such function and stay as they are.
protocol BitFunction: ArithmeticFunction {}

extension BitFunction {
  static func floats<T: BinaryFloatingPoint>(_ a: T, _ b: T) -> T { a }
}

enum BitwiseAnd: BitFunction {
  static func integers<T: FixedWidthInteger>(_ a: T, _ b: T) -> T { a & b }
}

enum BitwiseOr: BitFunction {
  static func integers<T: FixedWidthInteger>(_ a: T, _ b: T) -> T { a | b }
}

enum BitwiseXor: BitFunction {
  static func integers<T: FixedWidthInteger>(_ a: T, _ b: T) -> T { a ^ b }
}

/// Beyond the type's width nothing is left.
enum ShiftLeft: BitFunction {
  static func integers<T: FixedWidthInteger>(_ a: T, _ b: T) -> T {
    b < 0 || b >= T.bitWidth ? 0 : a &<< b
  }
}

/// Beyond the type's width the sign is left.
enum ShiftRight: BitFunction {
  static func integers<T: FixedWidthInteger>(_ a: T, _ b: T) -> T {
    b < 0 || b >= T.bitWidth ? (a < 0 ? 0 &- 1 : 0) : a &>> b
  }
}

// MARK: Comparisons

enum IsEqual: ComparisonFunction {
  static func compare<T: Comparable>(_ a: T, _ b: T) -> Bool { a == b }
}

enum IsGreater: ComparisonFunction {
  static func compare<T: Comparable>(_ a: T, _ b: T) -> Bool { a > b }
}

enum IsGreaterOrEqual: ComparisonFunction {
  static func compare<T: Comparable>(_ a: T, _ b: T) -> Bool { a >= b }
}

enum IsLess: ComparisonFunction {
  static func compare<T: Comparable>(_ a: T, _ b: T) -> Bool { a < b }
}

enum IsLessOrEqual: ComparisonFunction {
  static func compare<T: Comparable>(_ a: T, _ b: T) -> Bool { a <= b }
}

// MARK: Functions of one number

/// The smallest integer has no absolute value and stays.
enum Absolute: SignFunction {
  static func floats<T: BinaryFloatingPoint>(_ x: T) -> T { x.magnitude }
  static func integers<T: FixedWidthInteger>(_ x: T) -> T { x < 0 ? 0 &- x : x }
}

enum Negation: SignFunction {
  static func floats<T: BinaryFloatingPoint>(_ x: T) -> T { -x }
  static func integers<T: FixedWidthInteger>(_ x: T) -> T { 0 &- x }
}

enum Rectifier: SignFunction {
  static func floats<T: BinaryFloatingPoint>(_ x: T) -> T { x < 0 ? 0 : x }
  static func integers<T: FixedWidthInteger>(_ x: T) -> T { max(x, 0) }
}

enum Signum: SignFunction {
  static func floats<T: BinaryFloatingPoint>(_ x: T) -> T { x > 0 ? 1 : (x < 0 ? -1 : x) }
  static func integers<T: FixedWidthInteger>(_ x: T) -> T { x.signum() }
}
