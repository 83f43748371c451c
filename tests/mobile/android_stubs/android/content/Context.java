package android.content;

import android.content.pm.PackageManager;
import android.content.res.AssetManager;
import java.io.File;

public abstract class Context {
    public Context getApplicationContext() { return null; }
    public AssetManager getAssets() { return null; }
    public final String getString(int id) { return null; }
    public final String getString(int id, Object... arguments) { return null; }
    public final int getColor(int id) { return 0; }
    public File getExternalFilesDir(String type) { return null; }
    public File getFilesDir() { return null; }
    public File getNoBackupFilesDir() { return null; }
    public String getPackageName() { return null; }
    public PackageManager getPackageManager() { return null; }
    public final <T> T getSystemService(Class<T> service) { return null; }
    public Intent registerReceiver(BroadcastReceiver receiver, IntentFilter filter) { return null; }
}
