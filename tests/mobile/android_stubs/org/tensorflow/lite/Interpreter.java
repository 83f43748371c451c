package org.tensorflow.lite;

import java.nio.ByteBuffer;
import java.util.Map;

public final class Interpreter implements AutoCloseable {
    public static class Options {
        public Options setNumThreads(int threads) { return this; }
        public Options setUseXNNPACK(boolean use) { return this; }
    }

    public Interpreter(ByteBuffer model, Options options) {}
    public void runSignature(Map<String, Object> inputs, Map<String, Object> outputs, String key) {}
    public void close() {}
}
