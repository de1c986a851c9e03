// Bodies of HTTP/1.x messages (RFC 9112 §6.3, §7.1). The twin of codecs/http1/body-reader.ts.
#include <algorithm>

#include "http1.h"
#include "http1_chars.h"

namespace sluice::http1 {

using namespace layout;
using namespace rules;

namespace {
constexpr uint64_t kMaxSafeLength = (uint64_t{1} << 53) - 1;
}

BodyFraming BodyReader::start(std::span<const int32_t> table, const RequestContext* request) noexcept {
  const auto word = [table](int index) { return table[static_cast<size_t>(index)]; };
  const int32_t flags = word(kHeadFlags);
  const int32_t status = word(kHeadStatus);
  trailers_.clear();
  line_.clear();
  fault_ = {};
  remaining_ = 0;
  offset_ = static_cast<uint64_t>(word(kHeadHeadBytes));
  digits_ = extension_bytes_ = trailer_bytes_ = trailer_lines_ = name_bytes_ = 0;
  is_response_ = (flags & kFlagResponse) != 0;
  state_ = State::kIdle;
  if (is_response_) {
    if (status < 200 || status == 204 || status == 304) return BodyFraming::kNone;
    if (request != nullptr && (request->is_head || (request->is_connect && status < 300))) return BodyFraming::kNone;
  }
  if ((flags & kFlagChunked) != 0) {
    state_ = State::kSizeStart;
    return BodyFraming::kChunked;
  }
  if (word(kHeadLengthHigh) >= 0) {
    remaining_ = static_cast<uint64_t>(word(kHeadLengthHigh)) << 32 | static_cast<uint32_t>(word(kHeadLengthLow));
    state_ = State::kLength;
    return BodyFraming::kLength;
  }
  if (!is_response_) return BodyFraming::kNone;
  state_ = State::kUntilClose;
  return BodyFraming::kUntilClose;
}

uint64_t BodyReader::remaining() const noexcept { return state_ == State::kLength ? remaining_ : 0; }

void BodyReader::skip(uint64_t bytes) noexcept {
  const uint64_t moved = std::min(bytes, remaining());
  remaining_ -= moved;
  offset_ += moved;
}

std::string_view BodyReader::trailers() const noexcept { return trailers_; }

bool BodyReader::mid_message() const noexcept {
  return state_ == State::kLength ? remaining_ > 0 : state_ != State::kIdle && state_ != State::kUntilClose;
}

BodyReader::Piece BodyReader::next(std::span<const uint8_t> input) noexcept {
  using Kind = Piece::Kind;
  size_t at = 0;
  while (true) {
    if (state_ == State::kIdle || (state_ == State::kLength && remaining_ == 0)) {
      state_ = State::kIdle;
      offset_ += at;
      return {Kind::kEnd, at, {}, {}};
    }
    if (state_ == State::kFaulted) return {Kind::kFault, at, {}, fault_};
    if (at == input.size()) {
      offset_ += at;
      return {Kind::kMore, at, {}, {}};
    }
    if (state_ == State::kLength || state_ == State::kData || state_ == State::kUntilClose) {
      auto data = input.subspan(at);
      if (state_ != State::kUntilClose) {
        data = data.first(static_cast<size_t>(std::min<uint64_t>(remaining_, data.size())));
        remaining_ -= data.size();
        if (state_ == State::kData && remaining_ == 0) state_ = State::kDataCr;
      }
      at += data.size();
      offset_ += at;
      return {Kind::kData, at, data, {}};
    }
    if (take_framing(input[at], offset_ + at)) at++;
  }
}

bool BodyReader::fail(const FaultKind& kind, uint64_t at) noexcept {
  fault_ = {kind.code, static_cast<uint32_t>(std::min<uint64_t>(at, kMaxOffset)), is_response_ ? uint16_t{502} : kind.status};
  state_ = State::kFaulted;
  return false;
}

bool BodyReader::take_framing(uint8_t byte, uint64_t at) noexcept {
  if (state_ == State::kDataCr || state_ == State::kDataLf) {
    if (byte != (state_ == State::kDataCr ? '\r' : '\n')) return fail(kBadChunkEnd, at);
    state_ = state_ == State::kDataCr ? State::kDataLf : State::kSizeStart;
    return true;
  }
  if (state_ < State::kExtensionName || state_ == State::kSizeLf) return take_size(byte, at);
  return state_ < State::kSizeLf ? take_extension(byte, at) : take_trailer(byte, at);
}

bool BodyReader::take_size(uint8_t byte, uint64_t at) noexcept {
  if (state_ == State::kSizeLf) {
    if (byte != '\n') return fail(kBareCr, at - 1);
    state_ = remaining_ == 0 ? State::kTrailerStart : State::kData;
    return true;
  }
  if (state_ == State::kSizeStart) {
    remaining_ = 0;
    digits_ = 0;
    state_ = State::kSize;
  }
  const int digit = hex_value(byte);
  if (digit >= 0) {
    const auto value = static_cast<uint64_t>(digit);
    if (++digits_ > kMaxChunkDigits || remaining_ > (kMaxSafeLength - value) / 16) return fail(kBadChunkSize, at);
    remaining_ = remaining_ * 16 + value;
    return true;
  }
  if (digits_ == 0) return fail(kBadChunkSize, at);
  if (byte == '\r') {
    state_ = State::kSizeLf;
    return true;
  }
  if (byte == '\n') return fail(kBareLf, at);
  if (byte != ';') return fail(kBadChunkSize, at);
  state_ = State::kExtensionName;
  return true;
}

/// RFC 9112 §7.1.1, without the bad whitespace that it lets recipients accept.
bool BodyReader::take_extension(uint8_t byte, uint64_t at) noexcept {
  if (extension_bytes_++ == kMaxExtensionBytes) return fail(kChunkExtensionsTooLarge, at);
  switch (state_) {
    case State::kExtensionName:
      if (!kToken[byte]) return fail(kBadChunkExtension, at);
      state_ = State::kExtensionRest;
      return true;
    case State::kExtensionValue:
      if (byte != '"' && !kToken[byte]) return fail(kBadChunkExtension, at);
      state_ = byte == '"' ? State::kExtensionQuoted : State::kExtensionToken;
      return true;
    case State::kExtensionQuoted:
      if (!is_value(byte)) return fail(kBadChunkExtension, at);
      if (byte == '"') state_ = State::kExtensionEnd;
      if (byte == '\\') state_ = State::kExtensionEscape;
      return true;
    case State::kExtensionEscape:
      if (!is_value(byte)) return fail(kBadChunkExtension, at);
      state_ = State::kExtensionQuoted;
      return true;
    default:
      break;
  }
  // kExtensionRest, kExtensionToken, kExtensionEnd: places where an extension may end
  if (kToken[byte] && state_ != State::kExtensionEnd) return true;
  if (byte == '=' && state_ == State::kExtensionRest) {
    state_ = State::kExtensionValue;
  } else if (byte == ';') {
    state_ = State::kExtensionName;
  } else if (byte == '\r') {
    state_ = State::kSizeLf;
  } else {
    return fail(byte == '\n' ? kBareLf : kBadChunkExtension, at);
  }
  return true;
}

/// RFC 9112 §7.1.2: header lines, by the rules of the head.
bool BodyReader::take_trailer(uint8_t byte, uint64_t at) noexcept {
  if (trailer_bytes_++ == kMaxTrailerBytes) return fail(kTrailersTooLarge, at);
  switch (state_) {
    case State::kTrailerStart:
      if (byte == '\r') {
        state_ = State::kFinalLf;
        return true;
      }
      if (byte == '\n') return fail(kBareLf, at);
      if (is_space(byte)) return fail(trailer_lines_ > 0 ? kObsFold : kBadName, at);
      if (trailer_lines_ == kMaxTrailers) return fail(kTooManyTrailers, at);
      trailer_lines_++;
      line_.clear();
      state_ = State::kTrailerName;
      [[fallthrough]];
    case State::kTrailerName:
      if (byte == ':' && !line_.empty()) {
        name_bytes_ = static_cast<uint32_t>(line_.size());
        state_ = State::kTrailerValue;
      } else if (!kToken[byte]) {
        if (byte == '\r' || byte == '\n') return fail(kMissingColon, at);
        return fail(is_space(byte) ? kSpaceBeforeColon : kBadName, at);
      }
      line_.push_back(static_cast<char>(byte));
      return true;
    case State::kTrailerValue:
      if (byte == '\r') {
        state_ = State::kTrailerLf;
        return true;
      }
      if (byte == '\n') return fail(kBareLf, at);
      if (!is_value(byte)) return fail(kBadValue, at);
      line_.push_back(static_cast<char>(byte));
      return true;
    case State::kTrailerLf:
      if (byte != '\n') return fail(kBareCr, at - 1);
      keep_trailer();
      state_ = State::kTrailerStart;
      return true;
    default:  // kFinalLf
      if (byte != '\n') return fail(kBareCr, at - 1);
      state_ = State::kIdle;
      return true;
  }
}

void BodyReader::keep_trailer() noexcept {
  const auto* name = reinterpret_cast<const uint8_t*>(line_.data());
  for (const std::string_view field : kForbiddenTrailers) {
    if (matches_name(name, name_bytes_, field)) return;
  }
  trailers_.append(line_).append("\r\n");
}

}  // namespace sluice::http1
