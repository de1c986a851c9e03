// What the engine keeps of a connection, of a stream and of a listener. For engine*.cc only.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "engine.h"
#include "http2_connection.h"
#include "id_map.h"

namespace sluice {

/// What the input of an endpoint is at.
enum class Rx : uint8_t {
  kIdle,     // upstream: nothing asked; any byte is unexpected
  kHead,     // a head is awaited
  kPending,  // a head waits for a decision
  kBody,     // its body is moved (or held, or thrown away)
  kEnding,   // all of it was read; its end waits behind bytes of the other side, or for `end_body`
  kDone,     // the message is over, the exchange is not
  kRaw,      // opaque bytes
  kInspect,  // bytes are shown and kept
  kFaulted,  // broken: nothing is read any more
  kLinger,   // answered and shut: the rest is thrown away
  kEof,      // raw: the peer's end was passed on
  kBytes,    // bytes are handed out as they come
  kFrames,   // frames are
  kStreams,  // a connection whose messages are streams
};
/// What its output is at.
enum class Tx : uint8_t { kIdle, kBody, kDone };

/// What a connection's timer is for.
constexpr uint8_t kTimerNone = 0;
constexpr uint8_t kTimerConnect = 1;
constexpr uint8_t kTimerIdle = 2;
constexpr uint8_t kTimerHead = 3;
constexpr uint8_t kTimerLinger = 4;
constexpr uint8_t kTimerDiscard = 5;  ///< an answered request whose body is still thrown away
/// What owns a node of the wheel (TimerNode::tag).
constexpr uint8_t kNodeEndpoint = 0;
constexpr uint8_t kNodeSettings = 1;
constexpr uint8_t kNodeAccepts = 2;

/// A handle is index and generation.
constexpr uint32_t kIndexBits = 20;
constexpr uint32_t kIndexMask = (1U << kIndexBits) - 1;
constexpr uint32_t index_of(Handle handle) noexcept { return static_cast<uint32_t>(handle) & kIndexMask; }

/// What a batch shows of one body before more of it may come.
constexpr size_t kShowBytes = 64 * 1024;
/// How long the last output of a closing connection or stream may make no progress.
constexpr double kFlushMs = 30'000;

/// A connection with streams sends what it has written once it is so much; the rest of a batch leaves with its end.
constexpr size_t kSendBytes = 64 * 1024;

/// What is kept of requests, spare ones: how many, and of what size at most.
constexpr size_t kSpareRetained = 512;
constexpr size_t kSpareRetainedBytes = 4 * 1024;

/// A head with its table, as a stream keeps it. Trailers without a table are ready-made lines.
struct HeadCopy {
  std::vector<int32_t> table;
  std::vector<uint8_t> bytes;
  [[nodiscard]] std::string_view lines() const noexcept { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }
};

/// What is kept of a request so that it can be sent again. A stream keeps its head itself.
struct Retained {
  std::vector<uint8_t> head;
  std::vector<uint8_t> body;
  std::vector<uint8_t> trailers;  ///< that were sent in place of shown ones
};

/// One end of messages: an HTTP/1 connection, which has one at a time, or a stream of HTTP/2.
struct Engine::Endpoint : TimerNode {
  Endpoint(const Profile& how, bool is_a_stream) noexcept : profile(&how), is_stream(is_a_stream) {}
  Endpoint(const Endpoint&) = delete;
  Endpoint& operator=(const Endpoint&) = delete;
  virtual ~Endpoint() = default;

  Handle handle = kNoHandle;
  Handle rx_to = kNoHandle;    ///< where the body that is read here goes
  Handle tx_from = kNoHandle;  ///< where the body that is written here comes from
  const Profile* profile;
  const bool is_stream;
  Rx rx = Rx::kIdle;
  Tx tx = Tx::kIdle;
  http1::BodyFraming out_framing = http1::BodyFraming::kNone;
  bool read_blocked = false;  ///< the other side's output is above its watermark
  bool paused = false;
  bool held = false;
  bool discard = false;
  bool queued = false;
  bool keep_alive = false;
  bool close_after = false;
  bool closing = false;
  bool ended = false;
  bool client_http11 = true;
  bool expects_continue = false;
  bool shows_body = false;
  bool shows_trailers = false;
  bool end_untold = false;  ///< all of the body was read; its trailers wait for room in a batch
  bool is_own = false;  ///< the message is for whoever decides, and goes nowhere else
  http1::RequestContext request;
  std::unique_ptr<Retained> retained;
  uint64_t shown_in = 0;    ///< the batch that shows of its body
  size_t shown_bytes = 0;   ///< so much
  uint64_t received = 0;
  uint64_t sent = 0;
  uint64_t message_bytes = 0;

  [[nodiscard]] bool is_downstream() const noexcept { return profile->side == Side::kDownstream; }
};

/// What a connection of HTTP/2 has beyond its socket.
struct Engine::Streams {
  Streams(bool is_server, const http2::Options& options, int64_t now_ms) : codec(is_server, options, now_ms) { settings_timer.tag = kNodeSettings; }
  Streams(const Streams&) = delete;
  Streams& operator=(const Streams&) = delete;

  struct SettingsTimer : TimerNode {
    Handle connection = kNoHandle;
  };
  http2::Connection codec;
  IdMap<Stream*> by_id;
  Stream* first = nullptr;  ///< in the order they were opened
  Stream* last = nullptr;
  size_t count = 0;
  uint64_t shown_in = 0;           ///< the batch that tells of the newest stream
  int32_t limit = -1;              ///< what kStreamLimit has told
  bool takes_upgrades = false;     ///< and this
  uint32_t unsent = 0;             ///< of these, whose request has not been sent
  std::vector<Handle> blocked;     ///< those with bytes that wait, in turn
  bool holds_senders = false;      ///< some sender waits for the connection's output to shrink
  bool is_draining = false;
  uint64_t flush_mark = 0;  ///< when so many bytes have been sent, all that had been written is out
  SettingsTimer settings_timer;
};

struct Engine::Connection final : Endpoint {
  Connection(BlockPool& pool, Fd socket, const Profile& how) noexcept : Endpoint(how, false), fd(std::move(socket)), in(pool), out(pool) {}

  Fd fd;
  Buffer in;
  Buffer out;
  uint8_t timer_kind = kTimerNone;
  bool connecting = false;
  bool readable = false;
  bool writable = true;
  bool hup = false;     ///< FIN was announced: a short read does not mean that nothing more comes
  bool urgent = false;  ///< urgent data has come: neither does it then
  bool eof = false;
  bool dirty = false;
  bool shut_after_flush = false;
  bool shut = false;
  bool original_dst = false;
  bool peeked_eof = false;
  bool sniffs = false;        ///< its first bytes may be the preface of `Profile::preface`
  bool tell_drained = false;  ///< kDrained is owed
  bool partial = false;       ///< a frame that is not whole was shown, and waits for what becomes of it
  bool wants_whole = false;   ///< the next frame is not shown before it is whole
  http1::BodyReader body;
  std::unique_ptr<http1::HeadParser> parser;
  std::unique_ptr<Streams> streams;
  uint64_t linger_left = 0;
  uint64_t frame_left = 0;  ///< bytes of a frame that is cut through to `rx_to`, or thrown away
  int write_error = 0;      ///< nothing more can be written, but what the peer had sent may still be there to read
  size_t peeked = 0;        ///< bytes of an inspected connection that were shown
  double idle_ms = 0;

  /// An upstream that was asked, and whose response has not been taken whole: what it has sent counts, even before a reset.
  [[nodiscard]] bool is_answering() const noexcept {
    return !is_downstream() && (rx == Rx::kHead || rx == Rx::kPending || rx == Rx::kBody || rx == Rx::kStreams);
  }
};

/// One message exchange of an HTTP/2 connection.
struct Engine::Stream final : Endpoint {
  Stream(BlockPool& pool, Connection& carrier) noexcept;

  Connection* parent;  ///< null: the connection has ended, after all of the message that is read here had come
  uint32_t id = 0;     ///< 0: the request has not been sent yet
  bool remote_ended = false;  ///< all of the peer's message has come, if not gone on
  bool local_ended = false;   ///< the end of ours is in frames
  bool end_waits = false;     ///< it is to follow the last byte of `out`
  bool is_blocked = false;    ///< in `Streams::blocked`
  bool in_tunnel = false;
  bool releases = false;      ///< the codec counts it until JavaScript has been told of its end
  Buffer in;                  ///< of its body: came, and cannot go on yet
  Buffer out;                 ///< for the peer: waits for its window, or its connection
  uint64_t owed = 0;          ///< bytes that have gone on to the other side, and not been given back to the window
  std::unique_ptr<HeadCopy> head;
  std::unique_ptr<HeadCopy> trailers;
  std::unique_ptr<HeadCopy> out_trailers;
  std::vector<std::unique_ptr<HeadCopy>> later;  ///< heads that came while another one was pending
  Stream* before = nullptr;
  Stream* after = nullptr;
};

inline Engine::Stream::Stream(BlockPool& pool, Connection& carrier) noexcept : Endpoint(*carrier.profile, true), parent(&carrier), in(pool), out(pool) {}

struct Engine::Listener {
  Fd fd;
  Handle handle = kNoHandle;
  const Profile* profile = nullptr;
  bool original_dst = false;
  bool held = false;  ///< not watched until `accept_retry_`
  int max_accepts = 64;
};

inline Engine::Endpoint* Engine::find(Handle handle) const noexcept {
  const auto index = index_of(handle);
  if (index >= slots_.size()) return nullptr;
  Endpoint* endpoint = slots_[index].endpoint.get();
  return endpoint != nullptr && endpoint->handle == handle && !endpoint->ended ? endpoint : nullptr;
}
inline Engine::Connection* Engine::find_connection(Handle handle) const noexcept {
  Endpoint* endpoint = find(handle);
  return endpoint != nullptr && !endpoint->is_stream ? static_cast<Connection*>(endpoint) : nullptr;
}
inline Engine::Stream* Engine::find_stream(Handle handle) const noexcept {
  Endpoint* endpoint = find(handle);
  return endpoint != nullptr && endpoint->is_stream ? static_cast<Stream*>(endpoint) : nullptr;
}

inline int32_t word_of(std::span<const int32_t> table, int word) noexcept { return table[static_cast<size_t>(word)]; }

/// Content-Length of a head, or -1.
inline int64_t content_length(std::span<const int32_t> table) noexcept {
  const int32_t high = word_of(table, layout::kHeadLengthHigh);
  if (high < 0) return -1;
  return (static_cast<int64_t>(high) << 32) | static_cast<uint32_t>(word_of(table, layout::kHeadLengthLow));
}

}  // namespace sluice
