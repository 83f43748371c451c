package android.os;

public final class PowerManager {
    public boolean isPowerSaveMode() { return false; }
    public int getCurrentThermalStatus() { return 0; }
}
