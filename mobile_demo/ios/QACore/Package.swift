// swift-tools-version: 6.0
import PackageDescription

let package = Package(
    name: "QACore",
    platforms: [.iOS(.v17), .macOS(.v14)],
    products: [
        .library(name: "QACore", targets: ["QACore"]),
        .executable(name: "qacore", targets: ["QACoreTool"]),
    ],
    targets: [
        .target(name: "QACore"),
        // Not "qacore": macOS does not tell the case of file names apart.
        .executableTarget(name: "QACoreTool", dependencies: ["QACore"]),
        .testTarget(
            name: "QACoreTests",
            dependencies: ["QACore"],
            resources: [.copy("Samples")]
        ),
    ],
    swiftLanguageModes: [.v6]
)
