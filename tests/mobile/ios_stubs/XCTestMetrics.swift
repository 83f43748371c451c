// What the performance tests use of XCTest that Linux' own lacks. Part of their module.
import XCTest

protocol XCTMetric {}
final class XCTClockMetric: XCTMetric {}
final class XCTCPUMetric: XCTMetric {}
final class XCTMemoryMetric: XCTMetric {}

final class XCTMeasureOptions { var iterationCount = 5 }

extension XCTestCase {
    func measure(metrics: [any XCTMetric], options: XCTMeasureOptions, block: () -> Void) {}
}
