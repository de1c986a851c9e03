// One HTTP/2 connection (RFC 9113) as a pure state machine, the native twin of codecs/http2/framing/connection.ts, which says what each rule is for.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "hpack.h"
#include "http2_rules.h"
#include "id_map.h"

namespace sluice::http2 {

using rules::FaultKind;
/// Words of OPTION in codecs/http2/spec.ts.
using Options = std::array<int32_t, rules::kOptionDefaults.size()>;

struct FrameHeader {
  uint32_t length = 0;
  uint8_t type = 0;
  uint8_t flags = 0;
  uint32_t stream = 0;
};

/// What `next` found; which fields mean something depends on `kind` (`rules::kEvent*`). See Http2Event in connection.ts.
struct Event {
  int kind = rules::kEventMore;
  uint32_t stream = 0;
  std::span<const uint8_t> bytes;  ///< DATA: a view of the input
  bool ends = false;
  uint32_t error = 0;
  const FaultKind* fault = nullptr;
  uint32_t offset = 0;
  uint16_t status = 0;
  uint32_t low = 0;
  uint32_t high = 0;
};

/// Counts what costs us more than the peer; see flood-guard.ts. Each question answers with the fault that is to end the connection, or null.
class FloodGuard {
 public:
  explicit FloodGuard(const Options& options) noexcept;
  [[nodiscard]] const FaultKind* reset(int64_t now) noexcept { return resets_.take(now) ? nullptr : &rules::kFaultResetFlood; }
  void completed() noexcept { resets_.give(); }
  [[nodiscard]] const FaultKind* control(int64_t now) noexcept { return controls_.take(now) ? nullptr : &rules::kFaultControlFlood; }
  void useful() noexcept {
    empties_ = 0;
    controls_.give();
  }
  [[nodiscard]] const FaultKind* empty() noexcept { return ++empties_ > max_empties_ ? &rules::kFaultEmptyFrameFlood : nullptr; }
  [[nodiscard]] const FaultKind* queued() noexcept { return ++queued_ > max_queued_ ? &rules::kFaultQueueFlood : nullptr; }
  void flushed() noexcept { queued_ = 0; }
  void opened() noexcept { streams_++; }
  void sent_data() noexcept { data_sent_++; }
  [[nodiscard]] const FaultKind* window_update() noexcept {
    return ++window_updates_ > 5 + 2 * (streams_ + updates_per_data_ * data_sent_) ? &rules::kFaultWindowUpdateFlood : nullptr;
  }
  [[nodiscard]] const FaultKind* priority() noexcept { return ++priorities_ > priorities_per_stream_ * (1 + streams_) ? &rules::kFaultPriorityFlood : nullptr; }

 private:
  /// Tokens that come back evenly with time, up to `burst`.
  class TokenBucket {
   public:
    TokenBucket(int32_t burst, int32_t ms) noexcept : burst_(burst), per_ms_(ms > 0 ? static_cast<double>(burst) / ms : 0), tokens_(burst) {}
    [[nodiscard]] bool take(int64_t now) noexcept;
    void give() noexcept;

   private:
    double burst_;
    double per_ms_;
    double tokens_;
    int64_t at_ = 0;
  };
  TokenBucket resets_;
  TokenBucket controls_;
  int64_t max_empties_;
  int64_t max_queued_;
  int64_t updates_per_data_;
  int64_t priorities_per_stream_;
  int64_t empties_ = 0;
  int64_t queued_ = 0;
  int64_t streams_ = 0;
  int64_t data_sent_ = 0;
  int64_t window_updates_ = 0;
  int64_t priorities_ = 0;
};

class Connection {
 public:
  /// The preface is in `output()` at once. `now`: milliseconds on the owner's clock.
  Connection(bool is_server, const Options& options, int64_t now);

  /// Takes the next event off `input`; `consumed` is moved on. What is left comes again, followed by what arrived since.
  const Event& next(std::span<const uint8_t> input, size_t& consumed, int64_t now);
  /// HEAD and TRAILERS: the head's table and bytes, good until the next call.
  [[nodiscard]] std::span<const int32_t> head() const noexcept { return decoder_.table(); }
  [[nodiscard]] std::span<const uint8_t> head_bytes() const noexcept { return decoder_.bytes(); }
  /// Frames that wait to be written: the owner takes and clears them.
  [[nodiscard]] std::vector<uint8_t>& output() noexcept { return output_; }
  /// When SETTINGS_TIMEOUT is due; 0: nothing is due.
  [[nodiscard]] int64_t settings_deadline() const noexcept { return settings_deadline_; }
  /// Streams that count against a limit.
  [[nodiscard]] uint32_t open() const noexcept { return open_; }
  /// `more`: so many others are about to be opened.
  [[nodiscard]] bool can_open(uint32_t more = 0) const noexcept;
  /// Most streams that the peer allows to be open at once.
  [[nodiscard]] uint64_t max_streams() const noexcept { return peer_max_streams_; }
  /// The last GOAWAY of a graceful end has been written.
  [[nodiscard]] bool is_drained() const noexcept { return is_server_ ? go_away_sent_ >= 0 : is_draining_; }
  [[nodiscard]] bool peer_allows_connect() const noexcept { return peer_allows_connect_; }

  /// A message to send: the table and bytes of a head (empty: made from the edits), its edits, and how it is written.
  struct OutHead {
    std::span<const int32_t> table;
    const uint8_t* base = nullptr;
    std::span<const int32_t> edits;
    const uint8_t* edit_bytes = nullptr;
    hpack::OutFields how;
  };
  /// Sends a request on a new stream and gives its id; 0: none can be opened now.
  uint32_t request(const OutHead& head, bool ends);
  /// Sends a response's head, informational or final. False: the stream is gone, or has said its end.
  bool respond(uint32_t id, const OutHead& head, bool ends);
  /// Sends as much of a body as the windows allow and gives how many bytes that were; -1: the stream is gone.
  int64_t data(uint32_t id, std::span<const uint8_t> bytes, bool ends);
  bool trailers(uint32_t id, std::string_view lines);
  bool trailers(uint32_t id, std::span<const int32_t> table, const uint8_t* base);
  void reset(uint32_t id, uint32_t error);
  void release(uint32_t id);
  void consume(uint32_t id, uint32_t bytes);
  [[nodiscard]] uint32_t sendable(uint32_t id) const noexcept;
  void ping(uint32_t low, uint32_t high);
  void drain();
  void finish_drain();
  void abort(uint32_t error, std::string_view debug);
  void flushed() noexcept { guard_.flushed(); }
  const Event& expire(int64_t now);
  void idle() noexcept { decoder_.release(); }

 private:
  struct Stream {
    uint32_t id = 0;
    bool remote_ended = false;
    bool local_ended = false;
    bool is_reset = false;
    bool discards = false;
    bool has_head = false;
    bool is_head = false;
    bool is_connect = false;
    int64_t send_window = 0;
    int64_t receive_window = 0;
    int64_t returned = 0;
    int64_t expected = -1;
    int64_t received = 0;
  };
  enum class Gone : uint8_t { kUnknown, kEnded, kResetByPeer, kResetByUs };
  enum class Step : uint8_t { kMore, kGo, kBroken };

  [[nodiscard]] bool breaks(const FaultKind& kind, uint32_t offset) noexcept;
  [[nodiscard]] bool flood(const FaultKind* kind) noexcept;
  void end_broken();
  [[nodiscard]] Step step(std::span<const uint8_t> input, size_t& at);
  [[nodiscard]] Step take_preface(std::span<const uint8_t> input, size_t& at);
  [[nodiscard]] bool check_header() noexcept;
  [[nodiscard]] Step begin_data(std::span<const uint8_t> input, size_t& at);
  [[nodiscard]] bool accept_data(Stream& stream, uint32_t length, uint32_t content, bool ends);
  [[nodiscard]] bool late_data(uint32_t id);
  [[nodiscard]] Step take_data(std::span<const uint8_t> input, size_t& at);
  void emit_data(uint32_t id, std::span<const uint8_t> bytes, bool ends) noexcept;
  [[nodiscard]] bool take_frame(std::span<const uint8_t> payload);
  [[nodiscard]] bool take_headers(std::span<const uint8_t> payload);
  [[nodiscard]] bool take_continuation(std::span<const uint8_t> payload);
  [[nodiscard]] bool keep_fragment(std::span<const uint8_t> fragment);
  [[nodiscard]] bool take_block(std::span<const uint8_t> block, uint32_t id, uint8_t flags);
  [[nodiscard]] bool decode(std::span<const uint8_t> block, int kind);
  [[nodiscard]] bool drop(std::span<const uint8_t> block);
  [[nodiscard]] bool opened(std::span<const uint8_t> block, uint32_t id, bool ends);
  void emit_head(const Stream& stream, bool ends) noexcept;
  [[nodiscard]] bool response(std::span<const uint8_t> block, Stream& stream, bool ends);
  [[nodiscard]] bool take_trailers(std::span<const uint8_t> block, Stream& stream, bool ends);
  [[nodiscard]] bool late_block(std::span<const uint8_t> block, uint32_t id);
  [[nodiscard]] bool take_reset(uint32_t id, uint32_t error);
  [[nodiscard]] bool priority_of_wrong_length();
  [[nodiscard]] bool take_settings(std::span<const uint8_t> payload);
  [[nodiscard]] bool setting(uint32_t id, uint32_t value, uint32_t offset);
  [[nodiscard]] bool take_settings_ack();
  [[nodiscard]] bool take_ping(uint32_t low, uint32_t high);
  [[nodiscard]] bool take_go_away(uint32_t last, uint32_t error);
  [[nodiscard]] bool take_window_update(uint32_t id, uint32_t increment);

  Stream& add_stream(uint32_t id);
  [[nodiscard]] Stream* find(uint32_t id) noexcept;
  [[nodiscard]] const Stream* find(uint32_t id) const noexcept;
  [[nodiscard]] Stream* writable(uint32_t id) noexcept;
  [[nodiscard]] bool is_idle(uint32_t id) const noexcept;
  [[nodiscard]] bool is_beyond_go_away(uint32_t id) const noexcept;
  [[nodiscard]] Gone gone_as(uint32_t id) const noexcept;
  void remember(uint32_t id, Gone how);
  void end_remote(Stream& stream);
  void end_local(Stream& stream);
  void complete(const Stream& stream);
  void forget(uint32_t id);
  void gone(Stream& stream, Gone how);
  [[nodiscard]] bool stream_fault(Stream& stream, const FaultKind& kind, uint32_t offset);
  [[nodiscard]] bool bad_message(uint32_t id, const FaultKind& kind, uint32_t offset);
  void emit_reset(uint32_t id, const FaultKind& kind, uint32_t offset) noexcept;
  [[nodiscard]] bool reject_stream(uint32_t id, const FaultKind& kind);
  [[nodiscard]] bool write_reset(uint32_t id, uint32_t error);
  void give(Stream* stream, int64_t bytes);
  void send_settings();
  void write_header(size_t length, int type, int flags, uint32_t stream);
  void write_u16(uint32_t value);
  void write_u32(uint32_t value);
  void write_fields(uint32_t stream, bool ends);
  void write_go_away(uint32_t last, uint32_t error, std::string_view debug);
  void write_window_update(uint32_t id, uint32_t increment);
  [[nodiscard]] int32_t option(int index) const noexcept { return options_[static_cast<size_t>(index)]; }
  [[nodiscard]] size_t max_frame() const noexcept;

  Options options_;
  hpack::ListLimits limits_;
  hpack::Decoder decoder_;
  hpack::Encoder encoder_;
  FloodGuard guard_;
  IdMap<Stream> streams_;
  std::vector<uint8_t> output_;
  std::vector<uint8_t> fields_;  ///< the block being written
  std::vector<uint8_t> block_;   ///< the block that goes on in CONTINUATION frames
  Event event_;
  FrameHeader header_;
  hpack::Fault broken_;
  int64_t now_;
  int64_t settings_deadline_ = 0;
  uint32_t open_ = 0;
  uint32_t preface_seen_ = 0;
  bool is_server_;
  bool saw_settings_ = false;
  bool is_broken_ = false;
  bool settings_pending_ = false;
  bool is_draining_ = false;
  bool peer_allows_connect_ = false;

  uint32_t data_stream_ = 0;  ///< whose DATA is on its way; 0: it is thrown away
  uint32_t data_left_ = 0;
  uint32_t pad_left_ = 0;
  bool data_ends_ = false;
  bool data_dropped_ = false;  ///< the owner has reset the stream meanwhile

  uint32_t block_stream_ = 0;
  uint8_t block_flags_ = 0;
  int32_t continuations_ = 0;

  uint32_t last_peer_stream_ = 0;
  uint32_t next_stream_ = 1;
  struct Remembered {
    std::array<uint32_t, rules::kLimitRememberedStreams> ids{};
    std::array<Gone, rules::kLimitRememberedStreams> how{};
    size_t at = 0;
  };
  std::unique_ptr<Remembered> remembered_;

  uint64_t peer_max_streams_ = std::numeric_limits<uint64_t>::max();
  int64_t peer_window_ = rules::kLimitDefaultWindow;
  uint32_t peer_max_frame_ = rules::kLimitMinFrameSize;
  int64_t send_window_ = rules::kLimitDefaultWindow;
  int64_t own_window_ = rules::kLimitDefaultWindow;
  int64_t receive_window_;
  int64_t returned_ = 0;
  int64_t go_away_sent_ = -1;
  int64_t go_away_received_ = -1;
};

}  // namespace sluice::http2
