// The native engine: sockets, framing and relays of one worker (src/network/engine.ts is the contract). Knows no N-API.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "buffer.h"
#include "frame_decoder.h"
#include "http1.h"
#include "http2_rules.h"
#include "socket.h"
#include "timer_wheel.h"

namespace sluice {

namespace http2 {
class Connection;
struct Event;
}  // namespace http2
struct HeadCopy;
struct Retained;

using Handle = int32_t;
constexpr Handle kNoHandle = 0;

/// kBytes: handed to JavaScript piece by piece, for framing that is scripted there. kFrames: cut by the profile's described framing.
enum class FramingKind : uint8_t { kRaw, kInspect, kHttp1, kBytes, kFrames, kHttp2 };

/// A described framing with its bounds: what the profiles of a codec share.
class FrameFraming {
 public:
  FrameFraming(FrameProgram program, FrameLimits limits)
      : program_(std::move(program)), decoder_(program_, limits), whole_(program_, {limits.max_frame_bytes, 0}), max_frame_bytes_(limits.max_frame_bytes) {}
  FrameFraming(const FrameFraming&) = delete;
  FrameFraming& operator=(const FrameFraming&) = delete;
  [[nodiscard]] const FrameDecoder& decoder() const noexcept { return decoder_; }
  /// The same, without cut-through.
  [[nodiscard]] const FrameDecoder& whole() const noexcept { return whole_; }
  [[nodiscard]] size_t table_words() const noexcept { return program_.table_words(); }
  [[nodiscard]] size_t max_frame_bytes() const noexcept { return static_cast<size_t>(max_frame_bytes_); }

 private:
  const FrameProgram program_;
  const FrameDecoder decoder_;
  const FrameDecoder whole_;
  const int64_t max_frame_bytes_;
};
enum class Side : uint8_t { kDownstream, kUpstream };

struct Profile {
  FramingKind framing = FramingKind::kRaw;
  Side side = Side::kDownstream;
  http1::Limits limits;
  size_t high_water = 1024 * 1024;
  size_t max_retain = 1024 * 1024;
  double idle_ms = 0;
  double head_ms = 0;
  double linger_ms = 1000;
  uint64_t linger_bytes = 1024 * 1024;
  size_t max_frame = 0;  ///< of kBytes and kFrames: bytes of the largest frame
  /// Of kFrames.
  std::shared_ptr<const FrameFraming> frames;
  /// Of kHttp2: words of OPTION in codecs/http2/spec.ts.
  std::array<int32_t, http2::rules::kOptionDefaults.size()> streams = http2::rules::kOptionDefaults;
  /// Of kHttp1, downstream: the profile, of kHttp2, of connections that begin with the preface; -1: none.
  int preface = -1;
  /// Statistics that every byte of its connections is added to; they outlive the engine. Null: not counted.
  double* wire_received = nullptr;
  double* wire_sent = nullptr;
};

/// The numbers are part of the contract with native-engine.ts.
enum class EventKind : int32_t {
  kAccept = 1, kConnected, kHead, kPeek, kEnd, kFault, kTimeout, kClosed, kBytes, kDrained, kFrame,
  kProtocol, kStream, kStreamLimit, kGoAway, kPong, kBody, kTrailers,
};
enum class CloseReason : int32_t { kLocal, kRemote, kReset, kTruncated, kConnectFailed, kConnectTimeout, kUnexpected, kLinger, kDone, kRefused };
/// kRefuse: of a stream that nobody wants.
enum class CloseHow : int32_t { kFlush, kNow, kReset, kRefuse };
enum class TimeoutKind : int32_t { kIdle, kHead };
/// Where a fault lies; with kFaultOfStreams it is one of HTTP/2.
constexpr int32_t kFaultInHead = 0;
constexpr int32_t kFaultInBody = 1;
constexpr int32_t kFaultOfStream = 2;
constexpr int32_t kFaultOfConnection = 3;
constexpr int32_t kFaultOfStreams = 4;
constexpr int kForwardStale = 0;
constexpr int kForwardOpen = 1;
constexpr int kForwardDone = 2;
constexpr int kForwardReusable = 4;
constexpr int kSendStale = 0;
constexpr int kSendDone = 1;
/// With kSendDone: `to` has more waiting than its watermark; kDrained follows.
constexpr int kSendAbove = 2;

/// kAccept: a = listener. kHead: a = word where the table starts, b = the connection that a new stream is on, or 0. kPeek: a = arena offset, b = length, c = ended. kEnd: a, b = body bytes low/high, c = FORWARD bits.
/// kFault: a = fault name, b = offset, c = status, d = where. kTimeout: a = TimeoutKind. kClosed: a = CloseReason, b = errno, or with d = 1: c = error code of RFC 9113 §7.
/// kBytes: a = arena offset, b = length. kDrained: what `write` found above the watermark is below half of it.
/// kFrame: a = word where the table starts. kFault of kFrames: a = a code of the layout, or frame::kFault*.
/// kProtocol: a = profile. kStream: a = the connection that a new stream is on; kFault of it follows. kStreamLimit: a = streams. kGoAway: a = error code.
/// kBody, kTrailers: a = arena offset, b = length.
struct Event {
  EventKind kind;
  Handle handle;
  int32_t a = 0;
  int32_t b = 0;
  int32_t c = 0;
  int32_t d = 0;
};
static_assert(sizeof(Event) == 24);

struct EditsRef {
  std::span<const int32_t> ints;
  std::span<const uint8_t> bytes;
};

struct Traffic {
  uint64_t received = 0;
  uint64_t sent = 0;
  size_t queued = 0;
};

class Engine {
 public:
  /// Takes the events of a batch to whoever decides. Called from `wake` only; commands may be given from inside.
  class Sink {
   public:
    virtual ~Sink() = default;
    virtual void deliver(std::span<const Event> events) = 0;
  };

  static constexpr size_t kMaxEvents = 512;

  /// `arena`: memory shared with the sink, 4-byte aligned, at least 64 KiB. Outlives the engine.
  Engine(std::span<uint8_t> arena, Sink& sink);
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  /// The descriptor that becomes readable when `wake` has something to do.
  [[nodiscard]] int poll_fd() const noexcept { return epoll_.get(); }
  /// Handles what is ready. Call when `poll_fd` is readable, and when the time of `next_timer_ms` has come.
  void wake();
  /// Milliseconds until `wake` must be called even if nothing is readable; -1: never.
  [[nodiscard]] double next_timer_ms() const noexcept;
  [[nodiscard]] double now_ms() const noexcept { return now_ms_; }
  void refresh_clock() noexcept;

  /// Number of the profile; -1 where its head limit does not fit the arena.
  [[nodiscard]] int add_profile(const Profile& profile);
  [[nodiscard]] Handle listen(const SocketAddress& address, const SocketOptions& options, int profile, bool original_dst, int max_accepts, SocketFault& fault);
  void unlisten(Handle listener);
  /// Every failure arrives as kClosed, later. kNoHandle: no such profile.
  [[nodiscard]] Handle connect(const SocketAddress& address, const SocketAddress* source, const SocketOptions& options, int profile, double timeout_ms);

  /// Word of the arena where the table of the connection's head starts; -1: no head.
  [[nodiscard]] int32_t head(Handle handle);
  [[nodiscard]] int forward(Handle from, Handle to, const EditsRef& edits);
  /// Body bytes of the message that the last `forward` answered DONE for.
  [[nodiscard]] uint64_t moved_bytes() const noexcept { return moved_bytes_; }
  [[nodiscard]] bool reply(Handle handle, const EditsRef& edits, std::span<const uint8_t> body);
  void release_body(Handle handle);
  [[nodiscard]] bool can_replay(Handle handle) const;
  /// A stream for one request; kNoHandle: the peer takes none now.
  [[nodiscard]] Handle open_stream(Handle handle);
  void ping(Handle handle);
  /// Sends a request made of edits and a body on an upstream that is free.
  [[nodiscard]] bool request(Handle handle, const EditsRef& edits, std::span<const uint8_t> body);
  /// The pending response is for whoever decides: kBody, kTrailers and kEnd follow.
  [[nodiscard]] bool show(Handle handle);
  /// Of a message forwarded with kEditFlagShowBody: bytes in place of those that were shown, and its end. False: there is none.
  [[nodiscard]] bool send_body(Handle from, std::span<const uint8_t> bytes);
  [[nodiscard]] bool end_body(Handle from, std::span<const uint8_t> trailers);
  void relay(Handle a, Handle b);
  [[nodiscard]] bool write(Handle handle, std::span<const uint8_t> bytes);
  /// The frame that was shown before it was whole (kFrame, shown < bytes) was not sent on: it is shown again when it is.
  void want_whole(Handle handle);
  /// Sends the frame whose table starts at a word of the arena (kFrame), from connection `from`, to `to`, with another id. Answers bits of kSend*.
  [[nodiscard]] int send_frame(Handle from, Handle to, int32_t table_word, uint32_t id_low, uint32_t id_high);
  void adopt(Handle handle, int profile, size_t skip);
  void pause(Handle handle);
  void resume(Handle handle);
  void set_idle_timeout(Handle handle, double ms);
  void drain(Handle handle);
  /// False: stale.
  bool close(Handle handle, CloseHow how);

  /// Text forms of `SocketAddress::text`.
  struct Info {
    std::string local;
    std::string remote;
    std::string original_dst;
  };
  [[nodiscard]] std::optional<Info> info(Handle handle) const;
  [[nodiscard]] std::optional<std::string> listener_address(Handle listener) const;
  [[nodiscard]] std::optional<Traffic> traffic(Handle handle) const;
  [[nodiscard]] size_t connections() const noexcept { return open_; }
  /// Text of a fault number.
  [[nodiscard]] const char* fault_name(int32_t number) const noexcept;

 private:
  struct Endpoint;
  struct Connection;
  struct Stream;
  struct Streams;
  struct Listener;
  struct Slot {
    std::unique_ptr<Endpoint> endpoint;
    uint32_t generation = 0;
  };
  /// The head that an endpoint has to show. No table: none.
  struct MessageHead {
    std::span<const int32_t> table;
    const uint8_t* base = nullptr;  ///< where the table's offsets count from
    size_t skipped = 0;             ///< bytes before the head's
    size_t bytes = 0;
  };
  /// The trailers of a message: lines, of a stream with the table over them.
  struct Trailers {
    std::string_view lines;
    std::span<const int32_t> table;
    [[nodiscard]] const uint8_t* base() const noexcept { return reinterpret_cast<const uint8_t*>(lines.data()); }
    [[nodiscard]] bool empty() const noexcept { return lines.empty() && table.empty(); }
  };

  // slots
  [[nodiscard]] Endpoint* find(Handle handle) const noexcept;
  /// Null for a stream.
  [[nodiscard]] Connection* find_connection(Handle handle) const noexcept;
  [[nodiscard]] Stream* find_stream(Handle handle) const noexcept;
  [[nodiscard]] bool has_slot() const noexcept;
  void take_slot(std::unique_ptr<Endpoint> endpoint);
  [[nodiscard]] Connection& open_slot(Fd fd, const Profile& profile);

  // events
  void emit(EventKind kind, Handle handle, int32_t a = 0, int32_t b = 0, int32_t c = 0, int32_t d = 0);
  void deliver();
  void schedule();
  [[nodiscard]] bool has_event_room() const noexcept;
  [[nodiscard]] size_t arena_end() const noexcept;
  [[nodiscard]] size_t arena_room() const noexcept;
  [[nodiscard]] bool arena_fits(size_t bytes) const noexcept;
  [[nodiscard]] int32_t place_head(const MessageHead& head, bool in_batch);
  [[nodiscard]] int32_t place_bytes(std::span<const uint8_t> bytes);
  [[nodiscard]] int32_t fault_number(const char* name);

  // readiness
  void accept_some(Listener& listener);
  void watch(const Listener& listener, bool wanted);
  void hold_accepts(Listener& listener);
  void release_accepts();
  void on_ready(Connection& connection, uint32_t bits);
  void finish_connect(Connection& connection);
  void start_reading(Connection& connection);
  void run(Connection& connection);
  [[nodiscard]] bool wants_input(const Connection& connection) const noexcept;
  [[nodiscard]] bool receive(Connection& connection);
  void consume(Connection& connection);
  [[nodiscard]] bool sniff(Connection& connection);
  [[nodiscard]] static bool eof_counts(const Connection& connection) noexcept;
  void on_eof(Connection& connection);
  void enqueue(Endpoint& endpoint);

  // frames
  [[nodiscard]] bool has_room(Connection& connection);
  [[nodiscard]] size_t pump_frame(Connection& connection, std::span<const uint8_t> input);
  [[nodiscard]] size_t take_frames(Connection& connection, std::span<const uint8_t> input);

  // messages
  [[nodiscard]] static bool has_messages(const Endpoint& endpoint) noexcept;
  [[nodiscard]] static MessageHead head_of(const Endpoint& endpoint) noexcept;
  void read_head(Connection& connection);
  [[nodiscard]] size_t pump_bytes(Connection& connection, std::span<const uint8_t> input);
  void move_body(Endpoint& from, std::span<const uint8_t> data, bool ends);
  void show_body(Endpoint& from, std::span<const uint8_t> data);
  [[nodiscard]] size_t show_room(const Endpoint& from) const noexcept;
  void keep_body(Endpoint& from, std::span<const uint8_t> data);
  [[nodiscard]] static bool may_move(const Endpoint& from) noexcept;
  void informational_over(Endpoint& from, size_t head_bytes);
  void body_read(Endpoint& from, size_t unread);
  void body_done(Endpoint& from, size_t unread);
  [[nodiscard]] static Trailers trailers_of(const Endpoint& from) noexcept;
  void exchange_done(Endpoint& endpoint);
  void discard_body(Endpoint& endpoint);
  [[nodiscard]] http1::BodyFraming start_request(Endpoint& from, const MessageHead& head);
  [[nodiscard]] http1::BodyFraming start_response(Endpoint& from, const MessageHead& head);
  [[nodiscard]] int forward_request(Endpoint& from, Endpoint& to, const MessageHead& head, const EditsRef& edits);
  [[nodiscard]] int forward_again(Endpoint& from, Endpoint& to, bool is_read);
  [[nodiscard]] int forward_response(Endpoint& from, Endpoint& to, const MessageHead& head, const EditsRef& edits);
  [[nodiscard]] int forward_informational(Endpoint& from, Endpoint& to, const MessageHead& head, const EditsRef& edits);
  [[nodiscard]] bool put_tunnel_head(Endpoint& from, Endpoint& to, const MessageHead& head, const EditsRef& edits);
  [[nodiscard]] int start_body(Endpoint& from, bool is_over);
  void take_head(Endpoint& from, size_t head_bytes);
  void drop_head(Endpoint& endpoint);
  [[nodiscard]] std::unique_ptr<Retained> take_retained();
  void give_retained(std::unique_ptr<Retained> retained);
  void drop_retained(Endpoint& endpoint);
  void fault(Connection& connection, const http1::Fault& fault, bool in_body);
  void begin_tunnel(Endpoint& a, Endpoint& b);
  void end_tunnel_to(Endpoint& to);

  // streams
  [[nodiscard]] http2::Connection& codec_of(Connection& connection);
  [[nodiscard]] int64_t codec_now() const noexcept { return static_cast<int64_t>(now_ms_); }
  void start_streams(Connection& connection);
  [[nodiscard]] size_t take_streams(Connection& connection, std::span<const uint8_t> input);
  [[nodiscard]] Stream& add_stream(Connection& connection);
  void on_stream_head(Connection& connection, uint32_t id, bool ends);
  void on_bad_head(Connection& connection, const http2::Event& event);
  void on_stream_data(Connection& connection, uint32_t id, std::span<const uint8_t> bytes, bool ends);
  void on_stream_trailers(Connection& connection, uint32_t id);
  void on_stream_reset(Connection& connection, const http2::Event& event);
  void on_go_away(Connection& connection, uint32_t last, uint32_t error);
  void on_connection_fault(Connection& connection, const http2::Event& event);
  [[nodiscard]] std::unique_ptr<HeadCopy> copy_head(std::span<const int32_t> table, std::span<const uint8_t> bytes);
  void give_head(std::unique_ptr<HeadCopy> head);
  void show_head(Stream& stream, Handle parent);
  void run_stream(Stream& stream);
  void move_raw(Stream& stream, std::span<const uint8_t> data);
  void end_raw(Stream& stream);
  void pump_in(Stream& stream);
  void stream_ended(Stream& stream);
  void end_request(Stream& stream);
  void give_back(Stream& stream, uint64_t bytes);
  void put_stream_data(Stream& to, std::span<const uint8_t> data, bool ends);
  void block(Stream& to);
  void on_window(Connection& connection, uint32_t id);
  void pump_out(Connection& connection);
  [[nodiscard]] bool pump_stream(Stream& stream);
  void end_gone(Stream& to);
  void outlive(Stream& stream);
  void forget_stream(Stream& stream);
  void finish_stream(Stream& stream, CloseReason reason, uint32_t error, bool has_error);
  void end_streams(Connection& connection, CloseReason reason, int error);
  void close_stream(Stream& stream, CloseHow how);
  void end_flushed(Stream& stream);
  void reset_stream(Stream& stream, uint32_t error);
  void drain_of(Stream& stream);
  void end_if_drained(Connection& connection);
  void expire_settings(Connection& connection);

  // output
  static void count_received(Connection& connection, size_t bytes) noexcept;
  static void count_sent(Connection& connection, size_t bytes) noexcept;
  [[nodiscard]] bool put_head(Endpoint& to, const MessageHead& head, const EditsRef& edits, const http1::OutHead& how, bool ends);
  void put_body(Endpoint& to, std::span<const uint8_t> data, bool ends);
  [[nodiscard]] bool put_end(Endpoint& to, const Trailers& trailers);
  [[nodiscard]] static size_t waiting(const Connection& connection) noexcept;
  [[nodiscard]] static bool is_full(const Endpoint& to) noexcept;
  void settle(Endpoint& from, Endpoint& to);
  void let_on(Endpoint& to);
  void send_or_queue(Connection& to, std::span<const uint8_t> data);
  void send_some(Connection& connection);
  void flush(Connection& connection);
  void mark_dirty(Connection& connection);
  void after_output(Connection& connection);

  // ends
  void start_closing(Connection& connection);
  void start_linger(Connection& connection);
  void finish(Connection& connection, CloseReason reason, int error);
  void detach(Endpoint& endpoint);
  /// Ends those that were in the middle of a frame whose sender was detached.
  void finish_cut_off();
  void fail_io(Connection& connection, int error);
  void fail_output(Connection& connection, int error);
  void on_timer(TimerNode& node);
  void on_timer_of(Connection& connection);
  void arm(Connection& connection, uint8_t kind, double ms);
  void disarm(Connection& connection) noexcept;
  void touch(Connection& connection);

  std::span<uint8_t> arena_;
  size_t arena_events_ = 0;  ///< bytes of the events part in use
  size_t arena_extra_ = 0;   ///< next free byte of the part for `head()`
  Sink* sink_;
  Fd epoll_;
  Fd waker_;
  bool scheduled_ = false;
  bool awake_ = false;
  bool is_telling_ = false;  ///< in the sink
  double now_ms_ = 0;

  BlockPool pool_;
  std::vector<uint8_t> scratch_;   ///< where body bytes are received
  std::vector<uint8_t> head_out_;  ///< where heads are put together
  std::vector<Slot> slots_;
  std::deque<uint32_t> free_;    ///< the one that has been free longest is used first, so that its handles do not come again soon
  std::vector<uint32_t> ended_;  ///< slots whose kClosed waits to be delivered
  std::vector<uint32_t> telling_;
  std::vector<std::unique_ptr<Listener>> listeners_;
  std::vector<std::unique_ptr<http1::HeadParser>> parsers_;
  std::vector<std::unique_ptr<Endpoint>> streams_;   ///< spare ones, each made anew in its place
  std::vector<std::unique_ptr<HeadCopy>> heads_;     ///< spare ones
  std::vector<std::unique_ptr<Retained>> retained_;  ///< spare ones
  std::vector<std::vector<uint8_t>> outputs_;        ///< memory for the output of connections with streams
  std::deque<Profile> profiles_;  ///< connections point into it
  size_t max_head_ = 0;
  std::vector<Event> events_;
  std::vector<Event> delivering_;
  uint64_t batch_ = 1;
  std::vector<Handle> ready_;
  std::vector<Handle> dirty_;
  std::vector<Handle> cut_off_;
  std::vector<Handle> working_;  ///< the one of the two lists that is being worked through
  std::vector<const char*> fault_names_;
  TimerWheel wheel_;
  TimerNode accept_retry_;
  size_t open_ = 0;
  uint64_t moved_bytes_ = 0;
  Handle quiet_from_ = kNoHandle;  ///< whose end is told by `forward`'s answer, not by an event
  int quiet_flags_ = 0;
};

}  // namespace sluice
