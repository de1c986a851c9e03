// Streams in the engine with real sockets and without Node: peers made of the codec itself, exchanges of random sizes, resets and closes at random moments. What is
// asserted in test/contract/ on both engines is not repeated here; this is the part that runs under the sanitizers.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <map>
#include <random>
#include <string>

#include "../engine.h"
#include "../http2_connection.h"

namespace sluice {
namespace {

using namespace http2::rules;

std::vector<int32_t> no_edits() {
  std::vector<int32_t> ints(layout::kEditLines);
  ints[layout::kEditMethodBytes] = ints[layout::kEditTargetBytes] = -1;
  return ints;
}

/// What one side of a stream has got.
struct Message {
  size_t bytes = 0;
  bool has_head = false;
  bool ended = false;
  bool reset = false;
  size_t to_send = 0;
  bool sends_trailers = false;
};

/// A client or server: the codec on a socket that does not block.
class Peer {
 public:
  Peer(Fd fd, bool is_server, int32_t stream_window) : fd_(std::move(fd)), is_server_(is_server), codec_(is_server, options(stream_window), 0) {}

  /// Opens a stream with a body of so many bytes. 0: not now.
  uint32_t ask(size_t bytes, bool with_trailers) {
    auto ints = no_edits();
    const std::string text = "POST/h\r\nhost: h\r\n";
    ints[layout::kEditMethod] = 0;
    ints[layout::kEditMethodBytes] = 4;
    ints[layout::kEditTarget] = 4;
    ints[layout::kEditTargetBytes] = 2;
    ints[layout::kEditAppend] = 8;
    ints[layout::kEditAppendBytes] = 9;
    const uint32_t id = codec_.request({{}, nullptr, ints, reinterpret_cast<const uint8_t*>(text.data()), {-1, "http", false}}, false);
    if (id != 0) {
      messages[id].to_send = bytes;
      messages[id].sends_trailers = with_trailers;
    }
    return id;
  }
  void reset(uint32_t id) {
    codec_.reset(id, kErrorCancel);
    messages[id].reset = true;
  }
  /// Reads and writes once.
  void turn(std::mt19937& random) {
    std::array<uint8_t, 20000> bytes{};
    ssize_t got = 0;
    while ((got = recv(fd_.get(), bytes.data(), 1 + random() % bytes.size(), MSG_DONTWAIT)) > 0) {
      in_.insert(in_.end(), bytes.begin(), bytes.begin() + got);
      if (random() % 8 == 0) break;
    }
    if (got == 0) closed = true;
    take(random);
    for (auto& [id, message] : messages) send_body(id, message, random);
    auto& out = codec_.output();
    if (out.empty()) return;
    const ssize_t sent = send(fd_.get(), out.data(), out.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent > 0) out.erase(out.begin(), out.begin() + sent);
    if (out.empty()) codec_.flushed();
  }
  [[nodiscard]] bool is_over() const {
    return std::all_of(messages.begin(), messages.end(), [](const auto& entry) { return entry.second.reset || (entry.second.ended && entry.second.to_send == 0); });
  }
  std::map<uint32_t, Message> messages;
  bool closed = false;
  bool faulted = false;

 private:
  static http2::Options options(int32_t stream_window) {
    http2::Options options = kOptionDefaults;
    options[kOptionStreamWindow] = stream_window;
    return options;
  }
  void take(std::mt19937& random) {
    size_t at = 0;
    while (true) {
      const http2::Event& event = codec_.next(in_, at, 0);
      if (event.kind == kEventMore) break;
      if (event.kind == kEventFault) faulted = true;
      if (event.stream == 0) continue;
      Message& message = messages[event.stream];
      if (event.kind == kEventHead) {
        message.has_head = true;
        message.ended = event.ends;
        if (is_server_) answer(event.stream, random);
      } else if (event.kind == kEventData) {
        message.bytes += event.bytes.size();
        message.ended = event.ends;
        codec_.consume(event.stream, static_cast<uint32_t>(event.bytes.size()));
      } else if (event.kind == kEventTrailers) {
        message.ended = true;
      } else if (event.kind == kEventReset) {
        if (event.error != kErrorNoError || !message.ended) message.reset = true;
        message.to_send = 0;
        message.sends_trailers = false;
        codec_.release(event.stream);
      }
    }
    in_.erase(in_.begin(), in_.begin() + static_cast<ptrdiff_t>(at));
  }
  void answer(uint32_t id, std::mt19937& random) {
    auto ints = no_edits();
    ints[layout::kEditStatus] = 200;
    const bool is_empty = random() % 4 == 0;
    (void)codec_.respond(id, {{}, nullptr, ints, nullptr, {}}, is_empty);
    messages[id].to_send = is_empty ? 0 : 1 + random() % 100000;
    messages[id].sends_trailers = random() % 3 == 0;
    if (random() % 10 == 0) reset(id);
  }
  void send_body(uint32_t id, Message& message, std::mt19937& random) {
    if (message.to_send == 0 || message.reset || codec_.output().size() > 50000) return;
    static const std::vector<uint8_t> kBytes(70000, 'x');
    const size_t count = std::min(message.to_send, 1 + random() % kBytes.size());
    const bool is_last = count == message.to_send && !message.sends_trailers;
    const int64_t went = codec_.data(id, std::span(kBytes).first(count), is_last);
    message.to_send = went < 0 ? 0 : message.to_send - static_cast<size_t>(went);
    if (went >= 0 && message.to_send == 0 && message.sends_trailers) (void)codec_.trailers(id, "x-t: 1\r\n");
  }

  Fd fd_;
  bool is_server_;
  http2::Connection codec_;
  std::vector<uint8_t> in_;
};

/// Forwards every stream over the one upstream connection, and now and then does something else.
class StreamProxy : public Engine::Sink {
 public:
  explicit StreamProxy(uint32_t seed) : arena_(4 * 1024 * 1024), engine_(arena_, *this), random_(seed) {
    Profile profile;
    profile.framing = FramingKind::kHttp2;
    profile.high_water = 32 * 1024;
    down_ = engine_.add_profile(profile);
    profile.side = Side::kUpstream;
    up_ = engine_.add_profile(profile);
  }
  uint16_t listen() {
    SocketFault fault;
    const Handle listener = engine_.listen(*SocketAddress::parse("127.0.0.1", 0, ""), {}, down_, false, 64, fault);
    const std::string text = *engine_.listener_address(listener);
    return static_cast<uint16_t>(std::stoi(text.substr(text.find('\n') + 1)));
  }
  void connect(uint16_t port) { upstream_ = engine_.connect(*SocketAddress::parse("127.0.0.1", port, ""), nullptr, {}, up_, 1000); }
  void deliver(std::span<const Event> events) override {
    for (const Event& event : events) on_event(event);
  }
  void turn() { engine_.wake(); }
  Engine& engine() { return engine_; }
  Handle upstream() const { return upstream_; }
  size_t open_exchanges() const { return by_down_.size(); }
  size_t shown = 0;

 private:
  EditsRef edits(int32_t flags, int32_t status) {
    ints_ = no_edits();
    ints_[layout::kEditFlags] = flags;
    ints_[layout::kEditStatus] = status;
    return {ints_, {}};
  }
  int32_t flags() {
    const uint32_t dice = static_cast<uint32_t>(random_()) % 6;
    return dice == 0 ? layout::kEditFlagShowBody : dice == 1 ? layout::kEditFlagShowTrailers : dice == 2 ? layout::kEditFlagRetain : 0;
  }
  void on_event(const Event& event) {
    if (event.kind == EventKind::kHead && event.b != 0) {
      if (random_() % 20 == 0) {
        (void)engine_.close(event.handle, CloseHow::kRefuse);
        return;
      }
      const Handle up = random_() % 12 == 0 ? kNoHandle : engine_.open_stream(upstream_);
      if (up == kNoHandle || engine_.forward(event.handle, up, edits(flags(), 0)) == kForwardStale) {
        if (up != kNoHandle) (void)engine_.close(up, CloseHow::kReset);
        const std::vector<uint8_t> body(random_() % 30000, 'r');
        (void)engine_.reply(event.handle, edits(0, 503), body);
        return;
      }
      by_down_[event.handle] = up;
      by_up_[up] = event.handle;
    } else if (event.kind == EventKind::kHead) {
      if (random_() % 15 == 0) {
        (void)engine_.show(event.handle);
        return;
      }
      const int answer = engine_.forward(event.handle, by_up_[event.handle], edits(flags() & ~layout::kEditFlagRetain, 0));
      if ((answer & (kForwardDone | kForwardReusable)) == kForwardDone) (void)engine_.close(event.handle, CloseHow::kReset);
    } else if (event.kind == EventKind::kBody) {
      shown += static_cast<size_t>(event.b);
      const std::vector<uint8_t> copy(arena_.begin() + event.a, arena_.begin() + event.a + event.b);
      (void)engine_.send_body(event.handle, copy);
    } else if (event.kind == EventKind::kTrailers) {
      (void)engine_.end_body(event.handle, {});
    } else if (event.kind == EventKind::kEnd) {
      if (const auto found = by_up_.find(event.handle); found != by_up_.end() && (event.c & kForwardReusable) == 0) (void)engine_.close(event.handle, CloseHow::kReset);
    } else if (event.kind == EventKind::kClosed) {
      const auto why = static_cast<CloseReason>(event.a);
      if (const auto down = by_down_.find(event.handle); down != by_down_.end()) {
        const Handle up = down->second;
        by_down_.erase(down);
        if (by_up_.erase(up) > 0 && why != CloseReason::kDone) (void)engine_.close(up, CloseHow::kReset);
      } else if (const auto up = by_up_.find(event.handle); up != by_up_.end()) {
        const Handle down_handle = up->second;
        by_up_.erase(up);
        by_down_.erase(down_handle);
        if (why != CloseReason::kDone && !engine_.reply(down_handle, edits(0, 502), {})) {
          (void)engine_.close(down_handle, random_() % 2 == 0 ? CloseHow::kReset : CloseHow::kFlush);
        } else if (why == CloseReason::kDone) {
          // A response that was shown to us alone: the client gets nothing of it.
          (void)engine_.reply(down_handle, edits(0, 204), {});
        }
      }
    }
  }
  std::vector<uint8_t> arena_;
  Engine engine_;
  std::mt19937 random_;
  int down_ = 0;
  int up_ = 0;
  Handle upstream_ = kNoHandle;
  std::vector<int32_t> ints_;
  std::map<Handle, Handle> by_down_;
  std::map<Handle, Handle> by_up_;
};

Fd listener_of(uint16_t& port) {
  Fd fd(socket(AF_INET, SOCK_STREAM, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  EXPECT_EQ(bind(fd.get(), reinterpret_cast<sockaddr*>(&address), length), 0);
  EXPECT_EQ(::listen(fd.get(), 4), 0);
  getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &length);
  port = ntohs(address.sin_port);
  return fd;
}
Fd connected_to(uint16_t port) {
  Fd fd(socket(AF_INET, SOCK_STREAM, 0));
  const auto address = SocketAddress::parse("127.0.0.1", port, "");
  EXPECT_EQ(::connect(fd.get(), address->get(), address->length), 0);
  return fd;
}

void exchange(uint32_t seed) {
  std::mt19937 random(seed);
  uint16_t port = 0;
  Fd listener = listener_of(port);
  StreamProxy proxy(seed);
  Peer client(connected_to(proxy.listen()), false, 500 + static_cast<int32_t>(random() % 100000));
  proxy.connect(port);
  Peer server(Fd(accept(listener.get(), nullptr, nullptr)), true, 500 + static_cast<int32_t>(random() % 100000));
  // Each ending has its runs: none, the client, the server, a close of either connection.
  const uint32_t ending = seed % 5;
  int left = 60;
  for (int turn = 0; turn < 20000; turn++) {
    if (left > 0 && random() % 3 == 0 && client.ask(1 + random() % 50000, random() % 3 == 0) != 0) left--;
    if (random() % 40 == 0 && !client.messages.empty()) client.reset(std::prev(client.messages.end())->first);
    client.turn(random);
    proxy.turn();
    server.turn(random);
    proxy.turn();
    if (ending == 3 && turn == 60) (void)proxy.engine().close(proxy.upstream(), CloseHow::kFlush);
    if (ending == 4 && turn == 60) proxy.engine().drain(proxy.upstream());
    if (ending == 1 && turn == 60) break;
    if (ending == 2 && turn == 60) break;
    if (left == 0 && client.is_over() && (ending == 3 || server.is_over() || server.closed)) break;
  }
  EXPECT_FALSE(client.faulted) << "seed " << seed;
  EXPECT_FALSE(server.faulted) << "seed " << seed;
  if (ending == 1) client = Peer(Fd(), false, 65535);
  if (ending == 2) server = Peer(Fd(), true, 65535);
  const bool ends_well = ending == 0 || ending == 4;
  for (int turn = 0; turn < 5000 && (turn < 50 || (ends_well && !client.is_over()) || (ending != 3 && ending != 2 && proxy.open_exchanges() > 0)); turn++) {
    if (turn >= 50) usleep(1000);
    proxy.turn();
    if (ending != 1) client.turn(random);
    if (ending != 2) server.turn(random);
  }
  if (ends_well) {
    EXPECT_TRUE(client.is_over()) << "seed " << seed;
    EXPECT_EQ(proxy.open_exchanges(), 0U) << "seed " << seed;
  }
  if (ending == 1) {
    EXPECT_EQ(proxy.open_exchanges(), 0U) << "seed " << seed;
  }
}

TEST(EngineStreams, ExchangesOfRandomSizesResetsAndCloses) {
  for (uint32_t seed = 1; seed <= 40; seed++) exchange(seed);
}

/// Keeps requests until so many have come, then sends all of them on at once, their trailers shown.
class Gathering : public Engine::Sink {
 public:
  explicit Gathering(size_t wanted) : engine(arena_, *this), wanted_(wanted) {
    Profile profile;
    profile.framing = FramingKind::kHttp2;
    down = engine.add_profile(profile);
    profile.side = Side::kUpstream;
    up = engine.add_profile(profile);
  }
  void deliver(std::span<const Event> events) override {
    for (const Event& event : events) {
      if (event.kind == EventKind::kHead && event.b != 0) waiting_.push_back(event.handle);
      if (event.kind == EventKind::kTrailers) shown += static_cast<size_t>(event.b);
    }
    if (waiting_.size() < wanted_) return;
    auto ints = no_edits();
    ints[layout::kEditFlags] = layout::kEditFlagShowTrailers;
    for (const Handle handle : waiting_) {
      EXPECT_EQ(engine.forward(handle, engine.open_stream(upstream), {ints, {}}), kForwardOpen);
    }
    waiting_.clear();
    wanted_ = SIZE_MAX;
  }

 private:
  std::vector<uint8_t> arena_ = std::vector<uint8_t>(1024 * 1024);

 public:
  Engine engine;
  int down = 0;
  int up = 0;
  Handle upstream = kNoHandle;
  size_t shown = 0;

 private:
  size_t wanted_;
  std::vector<Handle> waiting_;
};

TEST(EngineStreams, TrailersThatDoNotFitIntoOneBatchAreShownInSeveral) {
  constexpr size_t kRequests = 60;
  uint16_t port = 0;
  const Fd listener = listener_of(port);
  Gathering sink(kRequests);
  SocketFault fault;
  const Handle own = sink.engine.listen(*SocketAddress::parse("127.0.0.1", 0, ""), {}, sink.down, false, 64, fault);
  const std::string text = *sink.engine.listener_address(own);
  const Fd client = connected_to(static_cast<uint16_t>(std::stoi(text.substr(text.find('\n') + 1))));
  sink.upstream = sink.engine.connect(*SocketAddress::parse("127.0.0.1", port, ""), nullptr, {}, sink.up, 1000);

  http2::Connection codec(false, kOptionDefaults, 0);
  auto ints = no_edits();
  const std::string request = "GET/h\r\nhost: h\r\n";
  ints[layout::kEditMethodBytes] = 3;
  ints[layout::kEditTarget] = 3;
  ints[layout::kEditTargetBytes] = 2;
  ints[layout::kEditAppend] = 7;
  ints[layout::kEditAppendBytes] = 9;
  const std::string trailers = "x-long: " + std::string(40'000, '#') + "\r\n";
  for (size_t i = 0; i < kRequests; i++) {
    const uint32_t id = codec.request({{}, nullptr, ints, reinterpret_cast<const uint8_t*>(request.data()), {-1, "http", false}}, false);
    ASSERT_NE(id, 0U);
    ASSERT_TRUE(codec.trailers(id, trailers));
  }
  size_t sent = 0;
  for (int turn = 0; turn < 2000 && sink.shown < kRequests * trailers.size(); turn++) {
    const auto left = std::span(codec.output()).subspan(sent);
    const ssize_t went = left.empty() ? 0 : send(client.get(), left.data(), left.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (went > 0) sent += static_cast<size_t>(went);
    sink.engine.wake();
    if (sent == codec.output().size()) usleep(100);
  }
  EXPECT_EQ(sink.shown, kRequests * trailers.size());
}

}  // namespace
}  // namespace sluice
