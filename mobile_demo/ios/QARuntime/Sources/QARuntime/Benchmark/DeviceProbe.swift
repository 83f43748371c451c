import Foundation

#if canImport(Darwin)
    // `mach_task_self_` is a variable in C, though nobody writes to it.
    @preconcurrency import Darwin
#endif
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

        /// `phys_footprint` is what iOS holds an app's memory limit against.
        public static func memory() -> Memory? {
            var info = task_vm_info_data_t()
            let size = MemoryLayout<task_vm_info_data_t>.size / MemoryLayout<integer_t>.size
            var count = mach_msg_type_number_t(size)
            let result = withUnsafeMutablePointer(to: &info) { pointer in
                pointer.withMemoryRebound(to: integer_t.self, capacity: size) {
                    task_info(mach_task_self_, task_flavor_t(TASK_VM_INFO), $0, &count)
                }
            }
            guard result == KERN_SUCCESS else { return nil }
            return Memory(
                now: Int(info.phys_footprint), peak: Int(info.ledger_phys_footprint_peak),
                method: "phys_footprint of the whole app")
        }
    #else
        public static func memory() -> Memory? { nil }
    #endif

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
