package org.pytorch.executorch;

public class Module {
    public static final int LOAD_MODE_MMAP = 1;

    public static Module load(String path, int loadMode, int threads) { return null; }
    public EValue[] execute(String method, EValue... inputs) { return null; }
    public void loadMethod(String methodName) {}
    public void destroy() {}
}
