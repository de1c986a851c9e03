// The engine with real sockets and without Node: a small proxy whose decisions are made by a test sink. What is asserted in test/contract/ on both
// engines is not repeated here; this is the part that runs under the sanitizers.
#include "../engine.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <map>
#include <random>
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
  void send_urgent(char byte) { ASSERT_EQ(::send(fd_.get(), &byte, 1, MSG_NOSIGNAL | MSG_OOB), 1); }
  /// False where the kernel takes nothing.
  bool send_some(std::string_view text) { return ::send(fd_.get(), text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT) > 0; }
  void read() {
    std::array<char, 65536> bytes{};
    ssize_t got = 0;
    while ((got = recv(fd_.get(), bytes.data(), bytes.size(), MSG_DONTWAIT)) > 0) received.append(bytes.data(), static_cast<size_t>(got));
    if (got == 0) ended = true;
    if (got < 0 && errno != EAGAIN) error = errno;
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
  int error = 0;

 private:
  Fd fd_;
};

/// Forwards every request to `upstream_port` over a connection of its own, and every response back.
class Proxy : public Engine::Sink {
 public:
  Proxy() : arena_(4 * 1024 * 1024), engine_(arena_, *this) {
    ints_.fill(0);
    ints_[layout::kEditMethodBytes] = ints_[layout::kEditTargetBytes] = -1;
    Profile up;
    up.framing = FramingKind::kHttp1;
    up.high_water = 64 * 1024;
    up.side = Side::kUpstream;
    up_ = engine_.add_profile(up);
  }
  uint16_t listen() {
    Profile down;
    down.framing = FramingKind::kHttp1;
    down.high_water = 64 * 1024;
    down.linger_ms = linger_ms;
    down_ = engine_.add_profile(down);
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
      } else if (event.kind == EventKind::kHead && !own_answer.empty()) {
        answer(event.handle, 200, own_answer);
      } else if (event.kind == EventKind::kHead) {
        const Handle up = engine_.connect(*SocketAddress::parse("127.0.0.1", upstream_port, ""), nullptr, {}, up_, 1000);
        peers_[up] = event.handle;
        ints_[layout::kEditFlags] = request_flags;
        (void)engine_.forward(event.handle, up, edits());
        ints_[layout::kEditFlags] = 0;
      } else if (event.kind == EventKind::kFault) {
        answer(event.handle, event.c, {});
      } else if (event.kind == EventKind::kClosed && peers_.contains(event.handle)) {
        engine_.close(peers_[event.handle], CloseHow::kNow);
      }
    }
  }
  void answer(Handle down, int status, std::string_view body) {
    ints_[layout::kEditStatus] = status;
    (void)engine_.reply(down, edits(), std::span(reinterpret_cast<const uint8_t*>(body.data()), body.size()));
    ints_[layout::kEditStatus] = 0;
  }
  /// Sends a kept request to another upstream connection.
  void replay(Handle down) {
    if (!engine_.can_replay(down)) return;
    const Handle up = engine_.connect(*SocketAddress::parse("127.0.0.1", upstream_port, ""), nullptr, {}, up_, 1000);
    peers_[up] = down;
    (void)engine_.forward(down, up, edits());
  }
  /// Turns the loop for so long, whatever comes. Answers how often the engine woke.
  int run_for(int ms) {
    int wakes = 0;
    const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(ms);
    while (std::chrono::steady_clock::now() < end) {
      const double next = engine_.next_timer_ms();
      pollfd ready{engine_.poll_fd(), POLLIN, 0};
      poll(&ready, 1, next < 0 || next > 20 ? 20 : static_cast<int>(next) + 1);
      engine_.wake();
      wakes++;
    }
    return wakes;
  }
  [[nodiscard]] ptrdiff_t count(EventKind kind) const { return std::ranges::count(log, kind, &Event::kind); }
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
  double linger_ms = 1000;
  std::string own_answer;  ///< where there is one, requests get it and do not go upstream

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

TEST(Engine, DoesNotSpinWithoutDescriptorsAndAcceptsAgainWhenThereAreSome) {
  Proxy proxy;
  proxy.own_answer = "hi";
  const uint16_t port = proxy.listen();
  Peer client = Peer::to(port);
  rlimit before{};
  getrlimit(RLIMIT_NOFILE, &before);
  // All descriptors below a small limit are taken.
  std::vector<Fd> taken;
  rlimit small = before;
  small.rlim_cur = 64;
  setrlimit(RLIMIT_NOFILE, &small);
  for (int fd = dup(0); fd >= 0; fd = dup(0)) taken.emplace_back(fd);
  client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  const int wakes = proxy.run_for(200);
  taken.clear();
  setrlimit(RLIMIT_NOFILE, &before);
  EXPECT_EQ(proxy.count(EventKind::kAccept), 0);
  EXPECT_LT(wakes, 40);
  proxy.run_until([&] { return client.read(), client.received.ends_with("hi"); });
}

TEST(Engine, DoesNotReuseAnUpstreamWhoseFinCameWithTheResponse) {
  Rig rig;
  rig.client->send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  rig.server_receives("\r\n\r\n");
  rig.server().send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
  rig.server().shut();
  rig.client_receives("\r\n\r\nhi");
  EXPECT_EQ(rig.proxy.forwarded, std::vector<int>{kForwardDone});
}

TEST(Engine, ReadsNoFurtherRequestOfAClientThatTakesNoAnswers) {
  Proxy proxy;
  proxy.own_answer.assign(16 * 1024, 'x');
  Peer client = Peer::to(proxy.listen());
  std::string requests;
  for (int i = 0; i < 1000; i++) requests += "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
  client.send(requests);
  for (int i = 0; i < 50; i++) {
    proxy.engine().wake();
    if (!proxy.log.empty()) {
      const auto traffic = proxy.engine().traffic(proxy.log.front().handle);
      ASSERT_TRUE(traffic.has_value());
      ASSERT_LE(traffic->queued, 96U * 1024);
    }
  }
  // As it reads, it gets all of them.
  proxy.run_until([&] { return client.read(), client.received.size() >= 1000 * proxy.own_answer.size(); });
  proxy.run_until([&] { return proxy.count(EventKind::kHead) == 1000; });
}

TEST(Engine, ClosesWithoutAResetWhereBytesOfTheClientAreStillUnread) {
  Rig rig;
  rig.client->send("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  rig.server_receives("\r\n\r\n");
  rig.client->send("GET /never-answered HTTP/1.1\r\nHost: x\r\n\r\n");
  rig.proxy.run_for(20);
  rig.server().send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
  rig.proxy.run_until([&] { return rig.client->read(), rig.client->ended || rig.client->error != 0; });
  EXPECT_EQ(rig.client->error, 0);
  EXPECT_TRUE(rig.client->received.ends_with("\r\n\r\nhi"));
}

TEST(Engine, DrainClosesAConnectionOnceItsLastAnswerIsOut) {
  Proxy proxy;
  proxy.own_answer.assign(8 * 1024 * 1024, 'x');
  Peer client = Peer::to(proxy.listen());
  client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  proxy.run_until([&] { return proxy.count(EventKind::kHead) == 1; });
  proxy.run_for(20);
  ASSERT_GT(proxy.engine().traffic(proxy.log.front().handle)->queued, 0U);
  proxy.engine().drain(proxy.log.front().handle);
  proxy.run_until([&] { return client.read(), client.ended; });
  EXPECT_GT(client.received.size(), proxy.own_answer.size());
}

TEST(Engine, ReadsOnBehindAnUrgentByte) {
  Rig rig;
  rig.client->send("GET / HTTP/1.1\r\n");
  rig.client->send_urgent('!');
  rig.client->send("Host: x\r\n\r\n");
  rig.server_receives("\r\n\r\n");
  EXPECT_EQ(rig.server().received, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
}

TEST(Engine, ForwardsAnEarlyAnswerAlthoughTheRestOfTheRequestCannotBeWritten) {
  Rig rig;
  rig.client->send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\npart");
  rig.server_receives("\r\n\r\npart");
  // Unread bytes make the upstream's close a reset, right behind its answer.
  rig.client->send("more");
  rig.proxy.run_for(20);
  // The engine hears of the request's next bytes first, and cannot write them any more.
  rig.client->send(std::string(20'000, 'x'));
  rig.server().send("HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno");
  rig.server().close();
  rig.proxy.run_until([&] { return rig.client->read(), rig.client->received.find("413 Too Large") != std::string::npos; });
}

TEST(Engine, GivesUpABodyThatItThrowsAwayAndThatDoesNotCome) {
  Proxy proxy;
  proxy.own_answer = "hi";
  proxy.linger_ms = 60;
  Peer client = Peer::to(proxy.listen());
  client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc");
  proxy.run_until([&] { return client.read(), client.received.ends_with("hi"); });
  proxy.run_until([&] { return client.read(), client.ended; });
}

TEST(Engine, KeepsTheConnectTimeoutOfAConnectionThatIsRelayedAlready) {
  // A listener whose queue is full lets the kernel drop further SYNs.
  SocketFault fault;
  SocketOptions options;
  options.backlog = 0;
  const Fd full = open_listener(*SocketAddress::parse("127.0.0.1", 0, ""), options, fault);
  SocketAddress local;
  local.length = sizeof(sockaddr_storage);
  getsockname(full.get(), reinterpret_cast<sockaddr*>(&local.storage), &local.length);
  const uint16_t port = ntohs(reinterpret_cast<sockaddr_in*>(&local.storage)->sin_port);
  std::vector<Peer> fillers;
  for (int i = 0; i < 3; i++) fillers.push_back(Peer::to(port));
  usleep(20'000);

  Upstream other;
  Proxy proxy;
  Profile raw;
  raw.side = Side::kUpstream;
  raw.idle_ms = 60'000;
  const int profile = proxy.engine().add_profile(raw);
  const Handle a = proxy.engine().connect(*SocketAddress::parse("127.0.0.1", other.port, ""), nullptr, {}, profile, 1000);
  const Handle b = proxy.engine().connect(local, nullptr, {}, profile, 100);
  proxy.engine().relay(a, b);
  proxy.run_until([&] { return proxy.count(EventKind::kClosed) == 1; });
  EXPECT_EQ(proxy.log.back().handle, b);
  EXPECT_EQ(proxy.log.back().a, static_cast<int32_t>(CloseReason::kConnectTimeout));
}

TEST(Engine, LeavesNoDescriptorAfterThousandsOfConnections) {
  Proxy proxy;
  proxy.own_answer = "hi";
  const uint16_t port = proxy.listen();
  const int before = dup(0);
  close(before);
  size_t highest = 0;
  for (int i = 0; i < 3000; i++) {
    Peer client = Peer::to(port);
    client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    proxy.run_until([&] { return client.read(), client.received.ends_with("hi"); });
    if (i % 3 == 0) client.reset();
    else client.close();
    for (const Event& event : proxy.log) highest = std::max(highest, static_cast<size_t>(event.handle & 0xfffff));
    proxy.log.clear();
  }
  proxy.run_until([&] { return proxy.engine().connections() == 0; });
  const int after = dup(0);
  close(after);
  EXPECT_EQ(after, before);
  EXPECT_LT(highest, 1024U);
}

/// Any peer may do anything at any time, and so may whoever decides: nothing breaks, and nothing is left.
TEST(Engine, SurvivesRandomPeersAndCommands) {
  for (uint32_t seed = 1; seed <= 4; seed++) {
    std::mt19937 random(seed);
    const auto any = [&](size_t count) { return std::uniform_int_distribution<size_t>(0, count - 1)(random); };
    Upstream upstream;
    Proxy proxy;
    proxy.linger_ms = 20;
    proxy.upstream_port = upstream.port;
    const uint16_t port = proxy.listen();
    Engine& engine = proxy.engine();
    const std::string big(40'000, 'x');
    const std::array<std::string, 8> requests{
        "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 40000\r\n\r\n" + big,
        "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n",
        "GET / HTT",
        "hello",
        big,
        "broken\r\n\r\n",
    };
    const std::array<std::string, 7> answers{
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
        "HTTP/1.1 100 Continue\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 40000\r\n\r\n" + big,
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
        "0\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\r\nuntil the end",
        "nonsense\r\n\r\n",
    };
    std::vector<Peer> clients;
    std::vector<Peer> servers;
    std::vector<Handle> handles{0};
    ptrdiff_t heads = 0;
    ptrdiff_t done = 0;
    for (int step = 0; step < 3000; step++) {
      if (clients.size() < 12) clients.push_back(Peer::to(port));
      while (auto server = upstream.accept()) servers.push_back(std::move(*server));
      for (const Event& event : proxy.log) handles.push_back(event.handle);
      heads += proxy.count(EventKind::kHead);
      done += std::ranges::count_if(proxy.forwarded, [](int result) { return (result & kForwardDone) != 0; });
      proxy.log.clear();
      proxy.forwarded.clear();
      proxy.own_answer = any(4) == 0 ? "own" : "";
      proxy.request_flags = any(3) == 0 ? layout::kEditFlagRetain : any(8) == 0 ? layout::kEditFlagHoldBody : 0;
      auto& peers = any(2) == 0 || servers.empty() ? clients : servers;
      const size_t which = any(peers.size());
      Peer& peer = peers[which];
      const Handle handle = handles[handles.size() - 1 - any(std::min<size_t>(handles.size(), 24))];
      const Handle other = handles[handles.size() - 1 - any(std::min<size_t>(handles.size(), 24))];
      switch (any(48)) {
        case 0: peer.shut(); break;
        case 1: peer.reset(), peers.erase(peers.begin() + static_cast<ptrdiff_t>(which)); break;
        case 2: peer.close(), peers.erase(peers.begin() + static_cast<ptrdiff_t>(which)); break;
        case 3: engine.close(handle, static_cast<CloseHow>(any(3))); break;
        case 4: engine.pause(handle); break;
        case 5: engine.resume(handle); break;
        case 6: engine.drain(handle); break;
        case 7: if (any(8) == 0) engine.relay(handle, other); break;
        case 8: if (any(8) == 0) (void)engine.write(handle, std::span(reinterpret_cast<const uint8_t*>(big.data()), big.size())); break;
        case 9: proxy.answer(handle, 200, "again"); break;
        case 10: (void)engine.forward(handle, other, proxy.edits()); break;
        case 11: engine.set_idle_timeout(handle, static_cast<double>(any(30))); break;
        case 12: engine.release_body(handle); break;
        case 13: (void)engine.head(handle); break;
        case 14: proxy.replay(handle); break;
        case 15: case 16: case 17: case 18: case 19: case 20: engine.wake(); break;
        case 21: case 22: peer.read(); break;
        default: (void)peer.send_some(&peers == &clients ? requests[any(any(2) == 0 ? requests.size() : 4)] : answers[any(any(2) == 0 ? answers.size() : 3)]);
      }
    }
    EXPECT_GT(heads, 100);
    EXPECT_GT(done, 10);
    clients.clear();
    servers.clear();
    for (const Event& event : proxy.log) handles.push_back(event.handle);
    for (const Handle handle : handles) engine.close(handle, CloseHow::kFlush);
    proxy.run_until([&] {
      while (auto server = upstream.accept()) server->close();
      for (const Event& event : proxy.log) engine.close(event.handle, CloseHow::kNow);
      return engine.connections() == 0;
    });
  }
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
