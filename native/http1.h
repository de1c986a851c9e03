// HTTP/1.x framing (RFC 9112), the native twin of codecs/http1: pure C++, no N-API, no sockets.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "head_layout.h"
#include "http1_rules.h"

namespace sluice::http1 {

enum class Underscores : uint8_t { kAllow, kReject, kDrop };

struct Limits {
  uint32_t max_head_bytes = 61440;
  uint32_t max_headers = 100;
  uint32_t max_target_bytes = 61440;
  bool accept_http10 = true;
  Underscores underscores = Underscores::kAllow;
};

/// A broken message. `code` is static text, the same as the fallback's; `offset` counts from the first byte of the message.
struct Fault {
  const char* code = nullptr;
  uint32_t offset = 0;
  uint16_t status = 400;
};

enum class Parsed : uint8_t { kMore, kHead, kFault };

/// Reads one head. Fed with all bytes of the message so far; resumes where it stopped, so that every byte is looked at once.
class HeadParser {
 public:
  void reset(bool is_response) noexcept;
  /// A message is `max_head_bytes` long at most, and every rule is applied as its byte arrives, so neither faults nor offsets depend on how the input is split.
  /// `input` begins at the first byte that belongs to no earlier message (leading CRLFs are counted in `skipped()`).
  [[nodiscard]] Parsed parse(std::span<const uint8_t> input, const Limits& limits) noexcept;
  /// After kHead: the table of head-layout.ts, offsets relative to `input.data()`. `HEAD_BYTES` does not count `skipped()`; `METHOD` etc. do include it in their offset.
  [[nodiscard]] std::span<const int32_t> table() const noexcept;
  [[nodiscard]] uint32_t skipped() const noexcept;
  [[nodiscard]] const Fault& fault() const noexcept;
  /// True once a byte of a message (not of leading CRLFs) has been seen.
  [[nodiscard]] bool started() const noexcept;

 private:
  enum class State : uint8_t {
    kStart,      ///< empty lines before a request line
    kStartLf,    ///< the LF of an empty line
    kMethod,
    kTarget,
    kVersion,    ///< request: `HTTP/1.x` after the target
    kRequestCr,
    kPrefix,     ///< response: `HTTP/1.x SP 3DIGIT`
    kStatusEnd,  ///< response: SP before the reason, or CR
    kReason,
    kStartLineLf,
    kLineStart,
    kName,
    kSpace,      ///< after the colon
    kValue,
    kLineLf,
    kFinalLf,
    kHead,
    kFault,
  };
  struct Span {
    uint32_t start = 0;
    uint32_t bytes = 0;
  };

  [[nodiscard]] Parsed fail(const rules::FaultKind& kind, uint32_t at) noexcept;
  [[nodiscard]] bool finish_target(const uint8_t* data, uint32_t end) noexcept;
  [[nodiscard]] bool finish_version(const uint8_t* data, uint32_t at, bool accept_http10) noexcept;
  [[nodiscard]] bool finish_line(const uint8_t* data, uint32_t value_end, const Limits& limits) noexcept;
  [[nodiscard]] bool finish_known(const uint8_t* data, int id, Span value) noexcept;
  [[nodiscard]] bool take_length(const uint8_t* data, Span value) noexcept;
  [[nodiscard]] bool take_coding(const uint8_t* data, Span value) noexcept;
  [[nodiscard]] bool take_options(const uint8_t* data, Span value) noexcept;
  [[nodiscard]] bool finish_head(const uint8_t* data, uint32_t final_cr) noexcept;
  void mark_named(const uint8_t* data) noexcept;
  [[nodiscard]] int32_t& word(int index) noexcept { return table_[static_cast<size_t>(index)]; }

  std::vector<int32_t> table_;
  std::array<Span, rules::kMaxConnectionOptions> options_;
  Fault fault_;
  uint32_t option_count_ = 0;
  uint32_t position_ = 0;    ///< next byte to look at
  uint32_t skipped_ = 0;
  uint32_t name_start_ = 0;
  uint32_t name_bytes_ = 0;
  uint32_t value_start_ = 0;
  uint32_t lines_ = 0;       ///< header lines on the wire, dropped ones included
  uint32_t version_ = 0;     ///< where the version of the start line begins
  bool is_response_ = false;
  bool http11_ = false;
  bool close_ = false;       ///< options of Connection
  bool keep_alive_ = false;
  bool upgrade_ = false;
  State state_ = State::kStart;
};

enum class BodyFraming : uint8_t { kNone, kLength, kChunked, kUntilClose };

struct RequestContext {
  bool is_head = false;
  bool is_connect = false;
  bool is_upgrade = false;
  bool is_http11 = true;
};

/// Takes the framing off a body (RFC 9112 §6.3, §7.1).
class BodyReader {
 public:
  struct Piece {
    enum class Kind : uint8_t { kMore, kData, kEnd, kFault } kind = Kind::kMore;
    size_t consumed = 0;                 ///< bytes of the input that were taken, framing included
    std::span<const uint8_t> data{};     ///< body bytes, within the input
    Fault fault{};
  };
  /// Decides the framing of the body that follows a parsed head.
  [[nodiscard]] BodyFraming start(std::span<const int32_t> table, const RequestContext* request) noexcept;
  /// Bytes that are left of a body with known length (0 for others): a relay may read and send so many without looking.
  [[nodiscard]] uint64_t remaining() const noexcept;
  /// All of a body with known length has been taken.
  [[nodiscard]] bool is_used_up() const noexcept { return state_ == State::kLength && remaining_ == 0; }
  void skip(uint64_t bytes) noexcept;    ///< tells that `bytes` of `remaining()` were moved
  [[nodiscard]] Piece next(std::span<const uint8_t> input) noexcept;
  /// After kEnd: trailer lines that may be forwarded, each with CRLF.
  [[nodiscard]] std::string_view trailers() const noexcept;
  /// FIN now would cut a message short.
  [[nodiscard]] bool mid_message() const noexcept;

 private:
  enum class State : uint8_t {
    kIdle,  ///< nothing (more) to read
    kLength,
    kUntilClose,
    kSizeStart,
    kSize,
    kExtensionName,   ///< after `;`
    kExtensionRest,   ///< within a name
    kExtensionValue,  ///< after `=`
    kExtensionToken,
    kExtensionQuoted,
    kExtensionEscape,
    kExtensionEnd,    ///< after a closing quote
    kSizeLf,
    kData,
    kDataCr,
    kDataLf,
    kTrailerStart,
    kTrailerName,
    kTrailerValue,
    kTrailerLf,
    kFinalLf,
    kFaulted,
  };

  // Each answers true, or has filled `fault_`. `at`: offset of the byte in the message.
  [[nodiscard]] bool fail(const rules::FaultKind& kind, uint64_t at) noexcept;
  [[nodiscard]] bool take_framing(uint8_t byte, uint64_t at) noexcept;
  [[nodiscard]] bool take_size(uint8_t byte, uint64_t at) noexcept;
  [[nodiscard]] bool take_extension(uint8_t byte, uint64_t at) noexcept;
  [[nodiscard]] bool take_trailer(uint8_t byte, uint64_t at) noexcept;
  void keep_trailer() noexcept;

  std::string line_;      ///< the trailer line that is being read
  std::string trailers_;
  Fault fault_;
  uint64_t remaining_ = 0;  ///< bytes left of the body, of the chunk; while a size is read: its value
  uint64_t offset_ = 0;     ///< bytes of the message before the next input
  uint32_t digits_ = 0;
  uint32_t extension_bytes_ = 0;
  uint32_t trailer_bytes_ = 0;
  uint32_t trailer_lines_ = 0;
  uint32_t name_bytes_ = 0;
  bool is_response_ = false;
  State state_ = State::kIdle;
};

struct OutHead {
  BodyFraming framing = BodyFraming::kNone;
  int64_t content_length = -1;
  bool close = false;
  bool keep_alive = false;
  bool upgrade = false;
};

/// Appends the head to `out`. `base`: what the table's offsets refer to. `table` empty: a head made here, from `edits` alone: a response where
/// it has a status, else a request (method and target). What is said about the connection comes from `how`; of the edit flags only PROPER_CASE counts.
void write_head(std::span<const int32_t> table, const uint8_t* base, std::span<const int32_t> edits, const uint8_t* edit_bytes, const OutHead& how,
                std::vector<uint8_t>& out);
/// Appends `<hex size>CRLF`; the caller appends the data and `CRLF`.
void write_chunk_head(size_t bytes, std::vector<uint8_t>& out);
/// Appends `0 CRLF trailers CRLF`.
void write_last_chunk(std::string_view trailers, std::vector<uint8_t>& out);

}  // namespace sluice::http1
