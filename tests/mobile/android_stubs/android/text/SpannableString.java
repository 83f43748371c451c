package android.text;

public class SpannableString implements Spanned {
    public SpannableString(CharSequence source) {}
    public void setSpan(Object what, int start, int end, int flags) {}
    public int length() { return 0; }
    public char charAt(int index) { return 0; }
    public CharSequence subSequence(int start, int end) { return null; }
}
