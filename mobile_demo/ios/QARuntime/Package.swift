// swift-tools-version: 6.0
import PackageDescription

// Core ML is part of the system. For `.pte` bundles put "ExecuTorch" here: Xcode then fetches the
// runtime when it resolves packages. The app itself still has no network access.
let runtimes: Set<String> = []

let executorch: [Package.Dependency] = [
    .package(url: "https://github.com/pytorch/executorch.git", branch: "swiftpm-1.5.1")
]
let executorchProducts: [Target.Dependency] = [
    .product(name: "executorch", package: "executorch"),
    .product(name: "backend_xnnpack", package: "executorch"),
    .product(name: "kernels_optimized", package: "executorch"),
    .product(name: "kernels_quantized", package: "executorch"),
]
let withExecuTorch = runtimes.contains("ExecuTorch")

let package = Package(
    name: "QARuntime",
    platforms: [.iOS(.v17), .macOS(.v14)],
    products: [.library(name: "QARuntime", targets: ["QARuntime"])],
    dependencies: [.package(path: "../QACore")] + (withExecuTorch ? executorch : []),
    targets: [
        .target(
            name: "QARuntime",
            dependencies: [.product(name: "QACore", package: "QACore")]
                + (withExecuTorch ? executorchProducts : []),
            // Registered by static initializers, which the linker drops unless it is told not to.
            linkerSettings: withExecuTorch ? [.unsafeFlags(["-Xlinker", "-all_load"])] : []
        ),
        .testTarget(name: "QARuntimeTests", dependencies: ["QARuntime"], exclude: ["Samples"]),
    ],
    swiftLanguageModes: [.v6]
)
