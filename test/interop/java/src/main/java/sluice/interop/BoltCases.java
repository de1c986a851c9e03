package sluice.interop;

import com.alipay.remoting.Connection;
import com.alipay.remoting.InvokeCallback;
import com.alipay.remoting.rpc.RpcClient;
import com.alipay.remoting.rpc.RpcResponseFuture;
import com.alipay.remoting.rpc.exception.InvokeServerException;
import com.alipay.remoting.rpc.exception.InvokeTimeoutException;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Executor;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;

/** What stock SOFABolt clients do with a server. */
final class BoltCases {
    private static final int CLIENTS = 4;
    private static final int TIMEOUT_MS = 10_000;

    private final List<RpcClient> clients = new ArrayList<>();
    private final String address;
    private final String run;

    private BoltCases(int port, String version) {
        String arguments;
        switch (version) {
            case "v1":
                arguments = "?_PROTOCOL=1&_VERSION=1";
                break;
            case "v2":
                arguments = "?_PROTOCOL=2&_VERSION=1";
                break;
            default:
                arguments = "?_PROTOCOL=2&_VERSION=2";
        }
        address = "127.0.0.1:" + port + arguments;
        run = version + "/" + port + "/" + System.nanoTime();
    }

    /** `version`: v1, v2, or v2-crc (checksums). */
    static void run(int port, String version) throws Exception {
        BoltCases cases = new BoltCases(port, version);
        for (int i = 0; i < CLIENTS; i++) {
            RpcClient client = new RpcClient();
            client.startup();
            cases.clients.add(client);
        }
        ExecutorService threads = Executors.newFixedThreadPool(16);
        try {
            Say.testCase("sync", () -> cases.sync(threads));
            Say.testCase("future", cases::future);
            Say.testCase("callback", cases::callback);
            Say.testCase("one-way", cases::oneway);
            Say.testCase("answers in another order", cases::order);
            Say.testCase("a server that fails", cases::failure);
            Say.testCase("no answer object", cases::nothing);
            Say.testCase("timeout", cases::timeout);
            Say.testCase("1 and 4 MB among small ones", () -> cases.large(threads));
            Say.testCase("heartbeat", cases::heartbeat);
        } finally {
            threads.shutdownNow();
            for (RpcClient client : cases.clients) client.shutdown();
        }
    }

    private Echo call(RpcClient client, Echo request) throws Exception {
        return (Echo) client.invokeSync(address, request, TIMEOUT_MS);
    }

    private void sync(ExecutorService threads) throws Exception {
        List<Future<?>> results = new ArrayList<>();
        for (int i = 0; i < 800; i++) {
            RpcClient client = clients.get(i % CLIENTS);
            Echo request = Echo.of(run + "/sync/" + i, i % 3000);
            results.add(
                    threads.submit(
                            () -> {
                                call(client, request).mustAnswer(request);
                                return null;
                            }));
        }
        for (Future<?> result : results) result.get();
    }

    private void future() throws Exception {
        Map<Echo, RpcResponseFuture> futures = new LinkedHashMap<>();
        for (int i = 0; i < 200; i++) {
            Echo request = Echo.of(run + "/future/" + i, i).delay(i % 7);
            futures.put(request, clients.get(i % CLIENTS).invokeWithFuture(address, request, TIMEOUT_MS));
        }
        for (Map.Entry<Echo, RpcResponseFuture> entry : futures.entrySet()) ((Echo) entry.getValue().get()).mustAnswer(entry.getKey());
    }

    private void callback() throws Exception {
        int count = 200;
        CountDownLatch open = new CountDownLatch(count);
        AtomicReference<Throwable> failure = new AtomicReference<>();
        for (int i = 0; i < count; i++) {
            Echo request = Echo.of(run + "/callback/" + i, i).delay(i % 5);
            InvokeCallback callback =
                    new InvokeCallback() {
                        @Override
                        public void onResponse(Object result) {
                            try {
                                ((Echo) result).mustAnswer(request);
                            } catch (Throwable wrong) {
                                failure.compareAndSet(null, wrong);
                            }
                            open.countDown();
                        }

                        @Override
                        public void onException(Throwable cause) {
                            failure.compareAndSet(null, cause);
                            open.countDown();
                        }

                        @Override
                        public Executor getExecutor() {
                            return null;
                        }
                    };
            clients.get(i % CLIENTS).invokeWithCallback(address, request, callback, TIMEOUT_MS);
        }
        Say.check(open.await(TIMEOUT_MS, TimeUnit.MILLISECONDS), open.getCount() + " callbacks are missing");
        if (failure.get() != null) throw new AssertionError(failure.get());
    }

    private void oneway() throws Exception {
        String key = run + "/oneway";
        for (int i = 0; i < 100; i++) clients.get(i % CLIENTS).oneway(address, Echo.of(key, i).mode("oneway"));
        int seen = 0;
        for (int tries = 0; tries < 100 && seen < 100; tries++) {
            seen = call(clients.get(0), Echo.of(key, 0).mode("count")).delayMs;
            if (seen < 100) Thread.sleep(20);
        }
        Say.check(seen == 100, seen + " of 100 came");
    }

    private void order() throws Exception {
        RpcClient client = clients.get(0);
        Echo slow = Echo.of(run + "/slow", 10).delay(400);
        RpcResponseFuture later = client.invokeWithFuture(address, slow, TIMEOUT_MS);
        Echo fast = Echo.of(run + "/fast", 20);
        call(client, fast).mustAnswer(fast);
        Say.check(!later.isDone(), "the slow answer came first");
        ((Echo) later.get()).mustAnswer(slow);
    }

    private void failure() throws Exception {
        try {
            call(clients.get(1), Echo.of(run + "/fail", 10).mode("fail"));
        } catch (InvokeServerException expected) {
            String causes = Say.oneLine(expected);
            Say.check(causes.contains("asked to fail: " + run), causes);
            return;
        }
        throw new AssertionError("no exception");
    }

    private void nothing() throws Exception {
        Say.check(call(clients.get(1), Echo.of(run + "/null", 10).mode("null")) == null, "an object");
    }

    private void timeout() throws Exception {
        RpcClient client = clients.get(2);
        for (int i = 0; i < 3; i++) {
            try {
                client.invokeSync(address, Echo.of(run + "/late/" + i, 10).delay(500), 150);
                throw new AssertionError("no timeout");
            } catch (InvokeTimeoutException expected) {
                Echo next = Echo.of(run + "/next/" + i, 30);
                call(client, next).mustAnswer(next);
            }
        }
        // The late answers come now, and must be nobody's.
        for (int i = 0; i < 20; i++) {
            Echo next = Echo.of(run + "/after/" + i, 30).delay(30);
            call(client, next).mustAnswer(next);
        }
    }

    private void large(ExecutorService threads) throws Exception {
        List<Future<?>> results = new ArrayList<>();
        int[] sizes = {1 << 20, 200, 4 << 20, 300, 1 << 20, 20, (1 << 20) + 1, 500};
        for (int i = 0; i < 24; i++) {
            RpcClient client = clients.get(i % CLIENTS);
            Echo request = Echo.of(run + "/large/" + i, sizes[i % sizes.length]);
            results.add(
                    threads.submit(
                            () -> {
                                call(client, request).mustAnswer(request);
                                return null;
                            }));
        }
        for (Future<?> result : results) result.get();
    }

    /** Idle clients ask after 0.2 s (bolt.tcp.heartbeat.interval), and give up a connection that leaves three unanswered. */
    private void heartbeat() throws Exception {
        RpcClient client = clients.get(3);
        Connection connection = client.getConnection(address, TIMEOUT_MS);
        Thread.sleep(900);
        Say.check(connection.isFine(), "the connection was closed");
        Echo request = Echo.of(run + "/after idling", 30);
        call(client, request).mustAnswer(request);
        Say.check(connection == client.getConnection(address, TIMEOUT_MS), "another connection is used");
    }
}
