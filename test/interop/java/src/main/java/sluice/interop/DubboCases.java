package sluice.interop;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.dubbo.config.ApplicationConfig;
import org.apache.dubbo.config.ReferenceConfig;
import org.apache.dubbo.rpc.RpcContext;
import org.apache.dubbo.rpc.RpcException;
import org.apache.dubbo.rpc.model.ApplicationModel;
import org.apache.dubbo.rpc.model.FrameworkModel;
import org.apache.dubbo.rpc.service.GenericService;

/** What stock Dubbo consumers do with a provider. */
final class DubboCases {
    private static final int CONSUMERS = 4;
    private static final int TIMEOUT_MS = 10_000;

    private final FrameworkModel framework = new FrameworkModel();
    private final ApplicationModel application = framework.newApplication();
    private final List<Greeter> consumers = new ArrayList<>();
    private final String url;
    private final String run;

    private DubboCases(int port, String serialization) {
        application.getApplicationConfigManager().setApplication(applicationConfig());
        url = "dubbo://" + DubboProvider.LOOPBACK + ":" + port + "?serialization=" + serialization + "&prefer.serialization=" + serialization;
        run = serialization + "/" + port + "/" + System.nanoTime();
        // `connections`: each has one of its own.
        for (int i = 0; i < CONSUMERS; i++) consumers.add(this.<Greeter>reference(false, TIMEOUT_MS).get());
    }

    private static ApplicationConfig applicationConfig() {
        ApplicationConfig config = new ApplicationConfig("sluice-interop-consumer");
        config.setQosEnable(false);
        return config;
    }

    private <T> ReferenceConfig<T> reference(boolean isGeneric, int timeoutMs) {
        ReferenceConfig<T> reference = new ReferenceConfig<>(application.newModule());
        reference.setInterface(Greeter.class);
        if (isGeneric) reference.setGeneric("true");
        reference.setUrl(url);
        reference.setCheck(false);
        reference.setTimeout(timeoutMs);
        reference.setRetries(0);
        reference.setConnections(1);
        return reference;
    }

    static void run(int port, String serialization) throws Exception {
        DubboCases cases = new DubboCases(port, serialization);
        ExecutorService threads = Executors.newFixedThreadPool(16);
        try {
            Say.testCase("two-way", () -> cases.twoWay(threads));
            Say.testCase("asynchronous", cases::asynchronous);
            Say.testCase("one-way", cases::oneway);
            Say.testCase("exceptions", cases::exceptions);
            Say.testCase("generic", cases::generic);
            Say.testCase("attachments", () -> cases.attachments(threads));
            Say.testCase("null", cases::nothing);
            Say.testCase("timeout", cases::timeout);
            Say.testCase("1 and 4 MB among small ones", () -> cases.large(threads));
        } finally {
            threads.shutdownNow();
            cases.framework.destroy();
        }
    }

    /** Calls without pause for so long; every call must be answered. Says which providers answered how often. */
    static void steady(int port, int ms) throws Exception {
        DubboCases cases = new DubboCases(port, "hessian2");
        ExecutorService threads = Executors.newFixedThreadPool(CONSUMERS * 2);
        Map<String, AtomicInteger> answers = new ConcurrentHashMap<>();
        try {
            long until = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(ms);
            Say.testCase(
                    "every call is answered",
                    () -> {
                        List<Future<?>> loops = new ArrayList<>();
                        for (int i = 0; i < CONSUMERS * 2; i++) {
                            Greeter greeter = cases.consumers.get(i % CONSUMERS);
                            loops.add(
                                    threads.submit(
                                            () -> {
                                                while (System.nanoTime() < until)
                                                    answers.computeIfAbsent(greeter.who(), name -> new AtomicInteger()).incrementAndGet();
                                            }));
                        }
                        Say.line("result running=1");
                        for (Future<?> loop : loops) loop.get();
                    });
            for (Map.Entry<String, AtomicInteger> entry : new TreeMap<>(answers).entrySet()) Say.result(entry.getKey() + "=" + entry.getValue());
        } finally {
            threads.shutdownNow();
            cases.framework.destroy();
        }
    }

    private void twoWay(ExecutorService threads) throws Exception {
        List<Future<?>> results = new ArrayList<>();
        for (int i = 0; i < 600; i++) {
            Greeter greeter = consumers.get(i % CONSUMERS);
            String key = run + "/two-way/" + i;
            int number = i;
            results.add(
                    threads.submit(
                            () -> {
                                if (number % 2 == 0) {
                                    Echo request = Echo.of(key, number).delay(number % 3);
                                    greeter.echo(request).mustAnswer(request);
                                } else {
                                    Map<String, Long> numbers = new TreeMap<>();
                                    for (int j = 0; j < number % 20; j++) numbers.put("n" + j, Long.MAX_VALUE - j);
                                    List<String> words = List.of(key, "größer", "字符", "🦥");
                                    String wanted = key + " " + number + " " + words + " " + numbers;
                                    String answer = greeter.hello(key, number, new ArrayList<>(words), numbers);
                                    Say.check(wanted.equals(answer), wanted + " is not " + answer);
                                }
                                return null;
                            }));
        }
        for (Future<?> result : results) result.get();
    }

    private void asynchronous() throws Exception {
        Map<String, CompletableFuture<String>> futures = new LinkedHashMap<>();
        for (int i = 0; i < 100; i++) futures.put(run + "/later/" + i, consumers.get(i % CONSUMERS).later(run + "/later/" + i, i % 9));
        for (Map.Entry<String, CompletableFuture<String>> entry : futures.entrySet()) {
            String answer = entry.getValue().get(TIMEOUT_MS, TimeUnit.MILLISECONDS);
            Say.check(answer.equals("later " + entry.getKey()), answer + " for " + entry.getKey());
        }
    }

    private void oneway() throws Exception {
        String key = run + "/note";
        for (int i = 0; i < 50; i++) {
            Greeter greeter = consumers.get(i % CONSUMERS);
            RpcContext.getServiceContext().asyncCall(() -> greeter.note(key));
        }
        int seen = 0;
        for (int tries = 0; tries < 100 && seen < 50; tries++) {
            seen = consumers.get(0).noted(key);
            if (seen < 50) Thread.sleep(20);
        }
        Say.check(seen == 50, seen + " of 50 came");
    }

    private void exceptions() throws Exception {
        try {
            consumers.get(1).fail(run, true);
            throw new AssertionError("no exception");
        } catch (GreetingException expected) {
            Say.check(expected.getMessage().equals("checked " + run), expected.getMessage());
        }
        try {
            consumers.get(2).fail(run, false);
            throw new AssertionError("no exception");
        } catch (IllegalStateException expected) {
            Say.check(expected.getMessage().equals("unchecked " + run), expected.getMessage());
        }
    }

    private void generic() throws Exception {
        GenericService generic = this.<GenericService>reference(true, TIMEOUT_MS).get();
        for (int i = 0; i < 20; i++) {
            String[] types = {"java.lang.String", "int", "java.util.List", "java.util.Map"};
            Object answer = generic.$invoke("hello", types, new Object[] {run + i, i, List.of("a"), Map.of("b", 3L)});
            Say.check((run + i + " " + i + " [a] {b=3}").equals(answer), String.valueOf(answer));
        }
    }

    private void attachments(ExecutorService threads) throws Exception {
        List<Future<?>> results = new ArrayList<>();
        for (int i = 0; i < 100; i++) {
            Greeter greeter = consumers.get(i % CONSUMERS);
            String value = run + "/attachment ä/" + i;
            results.add(
                    threads.submit(
                            () -> {
                                RpcContext.getClientAttachment().setAttachment("letter", value);
                                String answer = greeter.attachment("letter");
                                String back = RpcContext.getClientResponseContext().getAttachment("answer-letter");
                                RpcContext.getClientAttachment().removeAttachment("letter");
                                Say.check(value.equals(answer), answer + " for " + value);
                                Say.check(value.equals(back), "attachment " + back + " for " + value);
                                return null;
                            }));
        }
        for (Future<?> result : results) result.get();
    }

    private void nothing() {
        Say.check(consumers.get(3).echo(Echo.of(run, 1).mode("null")) == null, "an object");
    }

    private void timeout() {
        Greeter hasty = this.<Greeter>reference(false, 150).get();
        Greeter patient = consumers.get(0);
        for (int i = 0; i < 3; i++) {
            try {
                hasty.echo(Echo.of(run + "/late/" + i, 10).delay(500));
                throw new AssertionError("no timeout");
            } catch (RpcException expected) {
                Say.check(expected.isTimeout(), expected.toString());
            }
            Echo next = Echo.of(run + "/next/" + i, 30);
            patient.echo(next).mustAnswer(next);
        }
        for (int i = 0; i < 20; i++) {
            Echo next = Echo.of(run + "/after/" + i, 30).delay(30);
            patient.echo(next).mustAnswer(next);
        }
    }

    private void large(ExecutorService threads) throws Exception {
        List<Future<?>> results = new ArrayList<>();
        int[] sizes = {1 << 20, 200, 4 << 20, 300, (1 << 20) + 1, 20};
        for (int i = 0; i < 18; i++) {
            Greeter greeter = consumers.get(i % CONSUMERS);
            Echo request = Echo.of(run + "/large/" + i, sizes[i % sizes.length]);
            results.add(
                    threads.submit(
                            () -> {
                                greeter.echo(request).mustAnswer(request);
                                return null;
                            }));
        }
        for (Future<?> result : results) result.get();
    }
}
