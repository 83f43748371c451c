import XCTest

@testable import QARuntime

final class ModelSizeTests: XCTestCase {
    private func roles(_ models: [(String, Int, Int)]) -> [String]? {
        ModelSize.teacherAndStudent(
            models.map { (id: $0.0, size: ModelSize(params: $0.1, bytes: $0.2)) }
        ).map { [$0.teacher, $0.student] }
    }

    func testTheTeacherHasMoreParametersWhateverTheNamesAre() {
        // As directories are listed. The teacher's file may be smaller: it may be quantized.
        XCTAssertEqual(
            roles([("student", 14, 60), ("teacher", 110, 55)]), ["teacher", "student"])
        XCTAssertEqual(
            roles([("a", 30, 1), ("b", 110, 1), ("c", 14, 1)]), ["b", "c"])
    }

    func testOfEqualParametersBytesDecide() {
        XCTAssertEqual(roles([("int8", 14, 15), ("fp32", 14, 60)]), ["fp32", "int8"])
    }

    func testEqualOnesAreTwoAndOneIsBoth() {
        XCTAssertEqual(roles([("a", 1, 1), ("b", 1, 1)]), ["a", "b"])
        XCTAssertEqual(roles([("a", 1, 1)]), ["a", "a"])
        XCTAssertNil(roles([]))
    }

    func testReadsTheManifest() throws {
        let manifest = try Samples.bundle().manifest
        XCTAssertEqual(
            ModelSize(manifest),
            ModelSize(params: manifest.model.params, bytes: manifest.artifact.bytes))
    }
}
