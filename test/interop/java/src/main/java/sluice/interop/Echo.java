package sluice.interop;

import java.io.Serializable;
import java.util.Arrays;

/** What goes to a server and comes back: the key says which request an answer belongs to, the payload is a function of it. */
public final class Echo implements Serializable {
    private static final long serialVersionUID = 1L;

    public String key;
    public byte[] payload;
    /** How long the server waits before it answers. */
    public int delayMs;
    /** `echo`, `fail` (the server throws), `null` (it answers null), `count` (how many one-way requests with this key have come). */
    public String mode = "echo";

    public Echo() {}

    static Echo of(String key, int bytes) {
        Echo echo = new Echo();
        echo.key = key;
        echo.payload = payloadOf(key, bytes);
        return echo;
    }

    Echo mode(String wanted) {
        mode = wanted;
        return this;
    }

    Echo delay(int ms) {
        delayMs = ms;
        return this;
    }

    /** Bytes that differ from key to key, and in every place. */
    static byte[] payloadOf(String key, int bytes) {
        byte[] payload = new byte[bytes];
        int state = key.hashCode() | 1;
        for (int i = 0; i < bytes; i++) {
            state ^= state << 13;
            state ^= state >>> 17;
            state ^= state << 5;
            payload[i] = (byte) state;
        }
        return payload;
    }

    /** Fails unless this is the answer to `request`. */
    void mustAnswer(Echo request) {
        Say.check(request.key.equals(key), "answer of " + key + " for " + request.key);
        Say.check(Arrays.equals(request.payload, payload), "another payload for " + key);
    }
}
