package sluice.interop;

import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;

/** The service of the Dubbo peers. */
public interface Greeter {
    Echo echo(Echo request);

    String hello(String name, int times, List<String> words, Map<String, Long> numbers);

    CompletableFuture<String> later(String name, int delayMs);

    /** Sends no answer where the caller wants none. */
    void note(String key);

    /** Calls of `note` with this key. */
    int noted(String key);

    String fail(String key, boolean isChecked) throws GreetingException;

    /** The attachment `name` of the request; it comes back as the response's attachment `answer-NAME`, too. */
    String attachment(String name);

    /** Name of the provider. */
    String who();
}
