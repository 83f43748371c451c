package android.widget;

import android.view.View;

public class ScrollView extends View {
    public final void smoothScrollTo(int x, int y) {}
}
