package android.widget;

import android.view.KeyEvent;
import android.view.View;

public class TextView extends View {
    public interface OnEditorActionListener {
        boolean onEditorAction(TextView view, int action, KeyEvent event);
    }

    public CharSequence getText() { return null; }
    public final void setText(CharSequence text) {}
    public final void setText(int id) {}
    public void setOnEditorActionListener(OnEditorActionListener listener) {}
}
