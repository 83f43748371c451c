package android.view.inputmethod;

import android.os.IBinder;

public final class InputMethodManager {
    public boolean hideSoftInputFromWindow(IBinder token, int flags) { return false; }
}
