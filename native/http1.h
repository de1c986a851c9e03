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
  /// `input` begins at the first byte that belongs to no earlier message (leading CRLFs are counted in `skipped()`).
  [[nodiscard]] Parsed parse(std::span<const uint8_t> input, const Limits& limits) noexcept;
  /// After kHead: the table of head-layout.ts, offsets relative to `input.data()`. `HEAD_BYTES` does not count `skipped()`; `METHOD` etc. do include it in their offset.
  [[nodiscard]] std::span<const int32_t> table() const noexcept;
  [[nodiscard]] uint32_t skipped() const noexcept;
  [[nodiscard]] const Fault& fault() const noexcept;
  /// True once a byte of a message (not of leading CRLFs) has been seen.
  [[nodiscard]] bool started() const noexcept;
  /// (private members: yours)
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
  void skip(uint64_t bytes) noexcept;    ///< tells that `bytes` of `remaining()` were moved
  [[nodiscard]] Piece next(std::span<const uint8_t> input) noexcept;
  /// After kEnd: trailer lines that may be forwarded, each with CRLF.
  [[nodiscard]] std::string_view trailers() const noexcept;
  /// FIN now would cut a message short.
  [[nodiscard]] bool mid_message() const noexcept;
};

struct OutHead {
  BodyFraming framing = BodyFraming::kNone;
  int64_t content_length = -1;
  bool close = false;
  bool keep_alive = false;
  bool upgrade = false;
};

/// Appends the head to `out`. `table` empty: a response made here (status and lines from `edits`). `base`: what the table's offsets refer to.
void write_head(std::span<const int32_t> table, const uint8_t* base, std::span<const int32_t> edits, const uint8_t* edit_bytes, const OutHead& how,
                std::vector<uint8_t>& out);
/// Appends `<hex size>CRLF`; the caller appends the data and `CRLF`.
void write_chunk_head(size_t bytes, std::vector<uint8_t>& out);
/// Appends `0 CRLF trailers CRLF`.
void write_last_chunk(std::string_view trailers, std::vector<uint8_t>& out);

}  // namespace sluice::http1
