import Foundation

#if canImport(UIKit)
    import UIKit
#endif

/// Reads the device. Battery values need the main actor; the app reads them and hands them over.
public enum DeviceProbe {
    public static func device() -> Device {
        let process = ProcessInfo.processInfo
        let version = process.operatingSystemVersion
        return Device(
            name: modelName(), isVirtual: isVirtual, os: systemName,
            osVersion: [version.majorVersion, version.minorVersion, version.patchVersion]
                .map(String.init).joined(separator: "."),
            cores: process.processorCount, memoryBytes: Int(process.physicalMemory))
    }

    @MainActor
    public static func state() -> DeviceState {
        var state = DeviceState()
        #if canImport(Darwin)
            state.thermal = thermal
            state.lowPower = ProcessInfo.processInfo.isLowPowerModeEnabled
        #endif
        #if canImport(UIKit)
            let device = UIDevice.current
            device.isBatteryMonitoringEnabled = true
            // −1 where it is unknown, as in the simulator.
            state.batteryPercent = device.batteryLevel < 0 ? nil : Double(device.batteryLevel) * 100
            if device.batteryState != .unknown {
                state.charging = device.batteryState != .unplugged
            }
        #endif
        return state
    }

    #if canImport(Darwin)
        private static var thermal: String? {
            switch ProcessInfo.processInfo.thermalState {
            case .nominal: "nominal"
            case .fair: "fair"
            case .serious: "serious"
            case .critical: "critical"
            @unknown default: nil
            }
        }
    #endif

    /// The largest resident set of the process so far.
    public static func memory() -> Memory? {
        var usage = rusage()
        #if canImport(Darwin)
            let (unit, failed) = (1, getrusage(RUSAGE_SELF, &usage) != 0)
        #else
            let (unit, failed) = (1024, getrusage(__rusage_who_t(0), &usage) != 0)
        #endif
        guard !failed, usage.ru_maxrss > 0 else { return nil }
        return Memory(peak: usage.ru_maxrss * unit, method: "ru_maxrss of the whole app")
    }

    private static var isVirtual: Bool {
        #if targetEnvironment(simulator)
            true
        #elseif os(iOS)
            ProcessInfo.processInfo.isiOSAppOnMac
        #else
            true
        #endif
    }

    private static var systemName: String {
        #if os(iOS)
            "iOS"
        #elseif os(macOS)
            "macOS"
        #else
            "Linux"
        #endif
    }

    private static func modelName() -> String {
        #if targetEnvironment(simulator)
            let simulated = ProcessInfo.processInfo.environment["SIMULATOR_MODEL_IDENTIFIER"]
            return simulated ?? "simulator"
        #elseif os(iOS)
            var system = utsname()
            uname(&system)
            return withUnsafeBytes(of: &system.machine) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
        #else
            return "computer"
        #endif
    }
}
