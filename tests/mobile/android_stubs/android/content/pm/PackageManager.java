package android.content.pm;

public abstract class PackageManager {
    public static final int GET_PERMISSIONS = 4096;

    public static class NameNotFoundException extends Exception {}

    public abstract PackageInfo getPackageInfo(String packageName, int flags)
        throws NameNotFoundException;
}
