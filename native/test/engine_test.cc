// The engine with real sockets and without Node: a small proxy whose decisions are made by a test sink. What is asserted in test/contract/ on both
// engines is not repeated here; this is the part that runs under the sanitizers.
#include "../engine.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <functional>
#include <map>
#include <string>

namespace sluice {
namespace {

/// A blocking client or server socket of the test's.
class Peer {
 public:
  explicit Peer(int fd) : fd_(fd) {}
  static Peer to(uint16_t port) {
    Peer peer(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
    const auto address = SocketAddress::parse("127.0.0.1", port, "");
    (void)!::connect(peer.fd_.get(), address->get(), address->length);
    return peer;
  }
  void send(std::string_view text) {
    pollfd ready{fd_.get(), POLLOUT, 0};
    ASSERT_EQ(poll(&ready, 1, 2000), 1);
    ASSERT_EQ(::send(fd_.get(), text.data(), text.size(), MSG_NOSIGNAL), static_cast<ssize_t>(text.size()));
  }
  /// False where the kernel takes nothing.
  bool send_some(std::string_view text) { return ::send(fd_.get(), text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT) > 0; }
  void read() {
    std::array<char, 65536> bytes{};
    ssize_t got = 0;
    while ((got = recv(fd_.get(), bytes.data(), bytes.size(), MSG_DONTWAIT)) > 0) received.append(bytes.data(), static_cast<size_t>(got));
    if (got == 0) ended = true;
  }
  void reset() {
    const linger abort{1, 0};
    setsockopt(fd_.get(), SOL_SOCKET, SO_LINGER, &abort, sizeof abort);
    fd_.close();
  }
  void close() { fd_.close(); }
  void shut() { shutdown(fd_.get(), SHUT_WR); }
  std::string received;
  bool ended = false;

 private:
  Fd fd_;
};

/// Forwards every request to `upstream_port` over a connection of its own, and every response back.
class Proxy : public Engine::Sink {
 public:
  Proxy() : arena_(4 * 1024 * 1024), engine_(arena_, *this) {
    ints_.fill(0);
    ints_[layout::kEditMethodBytes] = ints_[layout::kEditTargetBytes] = -1;
    Profile down;
    down.framing = FramingKind::kHttp1;
    down.high_water = 64 * 1024;
    down_ = engine_.add_profile(down);
    Profile up = down;
    up.side = Side::kUpstream;
    up_ = engine_.add_profile(up);
  }
  uint16_t listen() {
    SocketFault fault;
    const Handle listener = engine_.listen(*SocketAddress::parse("127.0.0.1", 0, ""), {}, down_, false, 64, fault);
    EXPECT_NE(listener, kNoHandle);
    const std::string text = *engine_.listener_address(listener);
    return static_cast<uint16_t>(std::stoi(text.substr(text.find('\n') + 1)));
  }
  void deliver(std::span<const Event> events) override {
    for (const Event& event : events) {
      log.push_back(event);
      if (event.kind == EventKind::kHead && peers_.contains(event.handle)) {
        forwarded.push_back(engine_.forward(event.handle, peers_[event.handle], edits()));
      } else if (event.kind == EventKind::kHead) {
        const Handle up = engine_.connect(*SocketAddress::parse("127.0.0.1", upstream_port, ""), nullptr, {}, up_, 1000);
        peers_[up] = event.handle;
        ints_[layout::kEditFlags] = request_flags;
        (void)engine_.forward(event.handle, up, edits());
        ints_[layout::kEditFlags] = 0;
      } else if (event.kind == EventKind::kFault) {
        ints_[layout::kEditStatus] = event.c;
        (void)engine_.reply(event.handle, edits(), {});
        ints_[layout::kEditStatus] = 0;
      } else if (event.kind == EventKind::kClosed && peers_.contains(event.handle)) {
        engine_.close(peers_[event.handle], CloseHow::kNow);
      }
    }
  }
  /// Turns the loop until `done` says so, or two seconds are over.
  void run_until(const std::function<bool()>& done) {
    for (int i = 0; i < 400 && !done(); i++) {
      pollfd ready{engine_.poll_fd(), POLLIN, 0};
      poll(&ready, 1, 5);
      engine_.wake();
    }
    EXPECT_TRUE(done());
  }
  Engine& engine() { return engine_; }
  [[nodiscard]] EditsRef edits() const { return {ints_, {}}; }
  std::vector<Event> log;
  std::vector<int> forwarded;
  uint16_t upstream_port = 0;
  int32_t request_flags = 0;

 private:
  std::vector<uint8_t> arena_;
  std::array<int32_t, 64> ints_{};
  Engine engine_;
  int down_ = 0;
  int up_ = 0;
  std::map<Handle, Handle> peers_;
};

/// An upstream that accepts one connection at a time.
class Upstream {
 public:
  Upstream() {
    SocketFault fault;
    listener_ = open_listener(*SocketAddress::parse("127.0.0.1", 0, ""), {}, fault);
    SocketAddress local;
    local.length = sizeof(sockaddr_storage);
    getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&local.storage), &local.length);
    port = ntohs(reinterpret_cast<sockaddr_in*>(&local.storage)->sin_port);
  }
  std::optional<Peer> accept() {
    const int fd = accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK);
    return fd < 0 ? std::nullopt : std::optional<Peer>(std::in_place, fd);
  }
  uint16_t port = 0;

 private:
  Fd listener_;
};

struct Rig {
  Rig() {
    proxy.upstream_port = upstream.port;
    client.emplace(Peer::to(proxy.listen()));
  }
  /// The upstream's end of the connection that the proxy opened.
  Peer& server() {
    proxy.run_until([&] {
      if (!server_) server_ = upstream.accept();
      return server_.has_value();
    });
    return *server_;
  }
  void server_receives(std::string_view end) {
    Peer& peer = server();
    proxy.run_until([&] { return peer.read(), peer.received.ends_with(end); });
  }
  void client_receives(std::string_view end) {
    proxy.run_until([&] { return client->read(), client->received.ends_with(end); });
  }
  Upstream upstream;
  Proxy proxy;
  std::optional<Peer> client;

 private:
  std::optional<Peer> server_;
};

TEST(Engine, MovesARequestAndItsResponse) {
  Rig rig;
  rig.client->send("POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello");
  rig.server_receives("hello");
  rig.server().send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
  rig.client_receives("\r\n\r\nhi");
  EXPECT_EQ(rig.proxy.forwarded, std::vector<int>{kForwardDone | kForwardReusable});
}

TEST(Engine, GivesThePipelinedRequestAfterTheAnswerToTheFirst) {
  Rig rig;
  rig.client->send("GET /1 HTTP/1.1\r\nHost: x\r\n\r\nGET /2 HTTP/1.1\r\nHost: x\r\n\r\n");
  rig.server_receives("\r\n\r\n");
  EXPECT_EQ(rig.server().received.find("/2"), std::string::npos);
  rig.server().send("HTTP/1.1 204 No Content\r\n\r\n");
  rig.client_receives("\r\n\r\n");
  rig.proxy.run_until([&] { return std::ranges::count(rig.proxy.log, EventKind::kHead, &Event::kind) == 3; });
}

TEST(Engine, HoldsASlowReadersBytesBelowTheWatermark) {
  Rig rig;
  rig.client->send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  rig.server_receives("\r\n\r\n");
  const std::string part(64 * 1024, 'x');
  rig.server().send("HTTP/1.1 200 OK\r\nContent-Length: 67108864\r\n\r\n");
  const Handle client = rig.proxy.log.front().handle;
  size_t most = 0;
  // The client reads nothing: in the end the kernel's buffers are full, the proxy stops reading, and the upstream cannot send any more.
  for (int stalled = 0; stalled < 20;) {
    stalled = rig.server().send_some(part) ? 0 : stalled + 1;
    pollfd ready{rig.proxy.engine().poll_fd(), POLLIN, 0};
    poll(&ready, 1, 1);
    rig.proxy.engine().wake();
    most = std::max(most, rig.proxy.engine().traffic(client)->queued);
  }
  EXPECT_GT(most, 0U);
  EXPECT_LE(most, 64U * 1024 + 128 * 1024);
}

TEST(Engine, AnswersBrokenBytesAndCloses) {
  Rig rig;
  rig.client->send("GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n");
  rig.proxy.run_until([&] { return rig.client->read(), rig.client->ended; });
  EXPECT_TRUE(rig.client->received.starts_with("HTTP/1.1 400 "));
}

TEST(Engine, ReplaysAKeptRequestOnAnotherConnection) {
  Rig rig;
  rig.proxy.request_flags = layout::kEditFlagRetain;
  rig.client->send("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
  rig.server_receives("0\r\n\r\n");
  const Handle down = rig.proxy.log.front().handle;
  ASSERT_TRUE(rig.proxy.engine().can_replay(down));
  const std::string first = rig.server().received;
  EXPECT_TRUE(first.ends_with("3\r\nabc\r\n0\r\n\r\n"));
}

TEST(Engine, TellsOfAResetAndLeavesNoConnection) {
  Rig rig;
  rig.client->send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\npart");
  rig.server_receives("part");
  rig.server().reset();
  rig.proxy.run_until([&] { return rig.proxy.engine().connections() == 0; });
}

TEST(Engine, IgnoresStaleHandles) {
  Rig rig;
  Engine& engine = rig.proxy.engine();
  for (const Handle handle : {Handle{0}, Handle{1}, Handle{-1}, Handle{0x7fffffff}}) {
    EXPECT_EQ(engine.forward(handle, handle, rig.proxy.edits()), kForwardStale);
    EXPECT_FALSE(engine.reply(handle, rig.proxy.edits(), {}));
    EXPECT_EQ(engine.head(handle), -1);
    engine.close(handle, CloseHow::kNow);
    engine.relay(handle, handle);
    engine.unlisten(handle == 1 ? 99 : handle);
  }
}

}  // namespace
}  // namespace sluice
