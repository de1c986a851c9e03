// Heads of HTTP/1.x messages (RFC 9112 §2 to §6). The twin of codecs/http1/head-parser.ts, which says the same in TypeScript.
#include <algorithm>

#include "http1.h"
#include "http1_chars.h"

namespace sluice::http1 {

using namespace layout;
using namespace rules;

namespace {

constexpr std::string_view kVersionPrefix = "HTTP/";
constexpr uint32_t kVersionBytes = 8;
constexpr uint32_t kStatusStart = 9;
constexpr uint32_t kStatusLastDigit = 11;
/// `HTTP/1.1 200 `: where a reason phrase starts, be it there or not.
constexpr uint32_t kReasonStart = 13;
constexpr uint64_t kMaxSafeLength = (uint64_t{1} << 53) - 1;

[[nodiscard]] std::string_view text(const uint8_t* data, uint32_t start, uint32_t bytes) noexcept {
  return {reinterpret_cast<const char*>(data) + start, bytes};
}

}  // namespace

void HeadParser::reset(bool is_response) noexcept {
  table_.assign(static_cast<size_t>(kHeadFields), 0);
  word(kHeadLengthLow) = word(kHeadLengthHigh) = -1;
  fault_ = {};
  option_count_ = position_ = skipped_ = lines_ = version_ = 0;
  is_response_ = is_response;
  http11_ = close_ = keep_alive_ = upgrade_ = false;
  state_ = is_response ? State::kPrefix : State::kStart;
}

std::span<const int32_t> HeadParser::table() const noexcept { return table_; }
uint32_t HeadParser::skipped() const noexcept { return skipped_; }
const Fault& HeadParser::fault() const noexcept { return fault_; }
bool HeadParser::started() const noexcept { return state_ != State::kStart && state_ != State::kStartLf && position_ > skipped_; }

Parsed HeadParser::fail(const FaultKind& kind, uint32_t at) noexcept {
  const bool before_message = state_ == State::kStart || state_ == State::kStartLf;
  fault_ = {kind.code, before_message ? at : at - skipped_, is_response_ ? uint16_t{502} : kind.status};
  state_ = State::kFault;
  return Parsed::kFault;
}

Parsed HeadParser::parse(std::span<const uint8_t> input, const Limits& limits) noexcept {
  if (state_ == State::kHead) return Parsed::kHead;
  if (state_ == State::kFault) return Parsed::kFault;
  const uint8_t* const data = input.data();
  const auto available = static_cast<uint32_t>(std::min<size_t>(input.size(), kMaxOffset));
  uint32_t at = position_;

  // Empty lines before a request (RFC 9112 §2.2).
  while (state_ == State::kStart || state_ == State::kStartLf) {
    if (at == available) return position_ = at, Parsed::kMore;
    if (state_ == State::kStartLf) {
      if (data[at] != '\n') return fail(kBareCr, at - 1);
      skipped_ = ++at;
      state_ = State::kStart;
    } else if (data[at] == '\r') {
      if (skipped_ == 2 * kMaxEmptyLines) return fail(kEmptyLines, at);
      state_ = State::kStartLf;
      at++;
    } else if (data[at] == '\n') {
      return fail(kBareLf, at);
    } else {
      state_ = State::kMethod;
    }
  }

  const auto end = static_cast<uint32_t>(std::min<uint64_t>(available, uint64_t{skipped_} + limits.max_head_bytes));
  while (at < end) {
    switch (state_) {
      case State::kMethod: {
        while (at < end && kToken[data[at]]) at++;
        const uint32_t bytes = at - skipped_;
        if (bytes > kMaxMethodBytes) return fail(kMethodTooLong, skipped_ + kMaxMethodBytes);
        if (at == end) break;
        if (data[at] != ' ' || bytes == 0) return fail(kBadMethod, at);
        word(kHeadMethod) = static_cast<int32_t>(skipped_);
        word(kHeadMethodBytes) = static_cast<int32_t>(bytes);
        word(kHeadTarget) = static_cast<int32_t>(++at);
        state_ = State::kTarget;
        break;
      }
      case State::kTarget: {
        const auto start = static_cast<uint32_t>(word(kHeadTarget));
        while (at < end && is_target(data[at])) at++;
        if (at - start > limits.max_target_bytes) return fail(kTargetTooLarge, start + limits.max_target_bytes);
        if (at == end) break;
        if (data[at] == '\r' || data[at] == '\n') return fail(kBadRequestLine, at);
        if (data[at] != ' ' || at == start) return fail(kBadTarget, at);
        if (!finish_target(data, at)) return Parsed::kFault;
        version_ = ++at;
        state_ = State::kVersion;
        break;
      }
      case State::kVersion:
      case State::kPrefix: {
        const uint32_t base = state_ == State::kVersion ? version_ : skipped_;
        const uint32_t index = at - base;
        const uint8_t c = data[at];
        if (index < kVersionBytes) {
          const bool good = index < kVersionPrefix.size() ? c == static_cast<uint8_t>(kVersionPrefix[index]) : index == 6 ? c == '.' : is_digit(c);
          if (!good) return fail(kBadVersion, at);
          if (index == kVersionBytes - 1) {
            if (!finish_version(data, base, is_response_ || limits.accept_http10)) return Parsed::kFault;
            if (state_ == State::kVersion) state_ = State::kRequestCr;
          }
        } else if (index < kStatusStart) {
          if (c != ' ') return fail(kBadStatusLine, at);
        } else {
          if (!is_digit(c) || (index == kStatusStart && c == '0')) return fail(kBadStatusLine, at);
          word(kHeadStatus) = word(kHeadStatus) * 10 + (c - '0');
          if (index == kStatusLastDigit) {
            word(kHeadMethod) = static_cast<int32_t>(base + kReasonStart);
            state_ = State::kStatusEnd;
          }
        }
        at++;
        break;
      }
      case State::kRequestCr:
        if (data[at] == '\n') return fail(kBareLf, at);
        if (data[at] != '\r') return fail(kBadRequestLine, at);
        state_ = State::kStartLineLf;
        at++;
        break;
      case State::kStatusEnd:
        if (data[at] == '\n') return fail(kBareLf, at);
        if (data[at] == ' ') {
          state_ = State::kReason;
        } else if (data[at] == '\r') {
          state_ = State::kStartLineLf;
        } else {
          return fail(kBadStatusLine, at);
        }
        at++;
        break;
      case State::kReason:
        while (at < end && is_value(data[at])) at++;
        if (at == end) break;
        if (data[at] == '\n') return fail(kBareLf, at);
        if (data[at] != '\r') return fail(kBadStatusLine, at);
        word(kHeadMethodBytes) = static_cast<int32_t>(at) - word(kHeadMethod);
        state_ = State::kStartLineLf;
        at++;
        break;
      case State::kStartLineLf:
        if (data[at] != '\n') return fail(kBareCr, at - 1);
        state_ = State::kLineStart;
        at++;
        break;
      case State::kLineStart:
        if (data[at] == '\r') {
          state_ = State::kFinalLf;
          at++;
          break;
        }
        if (data[at] == '\n') return fail(kBareLf, at);
        if (is_space(data[at])) return fail(lines_ > 0 ? kObsFold : kBadName, at);
        if (lines_ >= limits.max_headers) return fail(kTooManyHeaders, at);
        name_start_ = at;
        state_ = State::kName;
        [[fallthrough]];
      case State::kName: {
        while (at < end && kToken[data[at]]) at++;
        name_bytes_ = at - name_start_;
        if (name_bytes_ > kMaxNameBytes) return fail(kHeadTooLarge, name_start_ + kMaxNameBytes);
        if (at == end) break;
        const uint8_t c = data[at];
        if (c != ':' || name_bytes_ == 0) {
          if (c == '\r' || c == '\n') return fail(kMissingColon, at);
          return fail(is_space(c) ? kSpaceBeforeColon : kBadName, at);
        }
        at++;
        state_ = State::kSpace;
        if (at == end) break;
        [[fallthrough]];
      }
      case State::kSpace:
        while (at < end && is_space(data[at])) at++;
        if (at == end) break;
        value_start_ = at;
        state_ = State::kValue;
        [[fallthrough]];
      case State::kValue: {
        at += static_cast<uint32_t>(plain_prefix(data + at, end - at));
        while (at < end && is_value(data[at])) at++;
        if (at == end) break;
        if (data[at] == '\n') return fail(kBareLf, at);
        if (data[at] != '\r') return fail(kBadValue, at);
        at++;
        state_ = State::kLineLf;
        if (at == end) break;
        [[fallthrough]];
      }
      case State::kLineLf: {
        if (data[at] != '\n') return fail(kBareCr, at - 1);
        uint32_t value_end = at - 1;
        while (value_end > value_start_ && is_space(data[value_end - 1])) value_end--;
        if (!finish_line(data, value_end, limits)) return Parsed::kFault;
        at++;
        state_ = State::kLineStart;
        break;
      }
      case State::kFinalLf:
        if (data[at] != '\n') return fail(kBareCr, at - 1);
        if (!finish_head(data, at - 1)) return Parsed::kFault;
        position_ = at + 1;
        state_ = State::kHead;
        return Parsed::kHead;
      case State::kStart:
      case State::kStartLf:
      case State::kHead:
      case State::kFault:
        return Parsed::kMore;  // not reached: handled above
    }
  }
  position_ = at;
  if (at - skipped_ >= limits.max_head_bytes) return fail(kHeadTooLarge, skipped_ + limits.max_head_bytes);
  return Parsed::kMore;
}

/// The four forms of a request target (RFC 9112 §3.2).
bool HeadParser::finish_target(const uint8_t* data, uint32_t end) noexcept {
  const auto start = static_cast<uint32_t>(word(kHeadTarget));
  const uint32_t bytes = end - start;
  const std::string_view method = text(data, skipped_, static_cast<uint32_t>(word(kHeadMethodBytes)));
  const std::string_view target = text(data, start, bytes);
  word(kHeadTargetBytes) = static_cast<int32_t>(bytes);
  int32_t& flags = word(kHeadFlags);
  if (std::find(kIdempotentMethods.begin(), kIdempotentMethods.end(), method) != kIdempotentMethods.end()) flags |= kFlagIdempotent;
  if (method == "HEAD") flags |= kFlagHeadMethod;
  if (method == "CONNECT") {
    flags |= kFlagConnect;
    word(kHeadAuthority) = static_cast<int32_t>(start);
    word(kHeadAuthorityBytes) = static_cast<int32_t>(bytes);
    if (is_authority(target, true)) return true;
  } else if (target.front() == '/' || (target == "*" && method == "OPTIONS")) {
    word(kHeadPath) = static_cast<int32_t>(start);
    word(kHeadPathBytes) = static_cast<int32_t>(bytes);
    return true;
  } else if (is_alpha(static_cast<uint8_t>(target.front()))) {
    size_t scheme = 1;
    const auto in_scheme = [](char c) { return is_alpha(static_cast<uint8_t>(c)) || is_digit(static_cast<uint8_t>(c)) || c == '+' || c == '-' || c == '.'; };
    while (scheme < target.size() && in_scheme(target[scheme])) scheme++;
    if (target.substr(scheme).starts_with("://")) {
      const size_t from = scheme + 3;
      const size_t path = std::min(target.find_first_of("/?", from), target.size());
      flags |= kFlagAbsoluteForm;
      word(kHeadAuthority) = static_cast<int32_t>(start + from);
      word(kHeadAuthorityBytes) = static_cast<int32_t>(path - from);
      word(kHeadPath) = static_cast<int32_t>(start + path);
      word(kHeadPathBytes) = static_cast<int32_t>(target.size() - path);
      if (is_authority(target.substr(from, path - from), false)) return true;
    }
  }
  (void)fail(kBadTarget, start);
  return false;
}

/// `at`: where `HTTP/x.y` begins; its grammar has been checked.
bool HeadParser::finish_version(const uint8_t* data, uint32_t at, bool accept_http10) noexcept {
  const uint8_t major = data[at + 5];
  const uint8_t minor = data[at + 7];
  if (major != '1') return (void)fail(kVersionNotSupported, at + 5), false;
  if (minor > '1') return (void)fail(kBadVersion, at + 7), false;
  http11_ = minor == '1';
  if (http11_) word(kHeadFlags) |= kFlagHttp11;
  if (!http11_ && !accept_http10) return (void)fail(kVersionNotSupported, at + 5), false;
  return true;
}

bool HeadParser::finish_line(const uint8_t* data, uint32_t value_end, const Limits& limits) noexcept {
  const uint8_t* const name = data + name_start_;
  lines_++;
  if (limits.underscores != Underscores::kAllow) {
    if (const void* found = std::memchr(name, '_', name_bytes_); found != nullptr) {
      if (limits.underscores == Underscores::kDrop) return true;
      return (void)fail(kUnderscoreInName, static_cast<uint32_t>(static_cast<const uint8_t*>(found) - data)), false;
    }
  }
  const Span value{value_start_, value_end - value_start_};
  const int id = known_id(name, name_bytes_);
  const bool hop_by_hop =
      id == kKnownConnection || id == kKnownTransferEncoding || id == kKnownUpgrade || id == kKnownTe || id == kKnownKeepAlive || id == kKnownProxyConnection;
  if (id != 0) {
    if (!finish_known(data, id, value)) return false;
    int32_t& first = word(kHeadKnown + id - 1);
    if (first == 0) first = word(kHeadCount) + 1;
  }
  word(kHeadCount)++;
  const size_t words = table_.size();
  table_.resize(words + static_cast<size_t>(kFieldWords));
  int32_t* const field = table_.data() + words;
  field[0] = static_cast<int32_t>(name_start_);
  field[1] = static_cast<int32_t>(name_bytes_) | id << 16 | (hop_by_hop ? kHopByHop : 0);
  field[2] = static_cast<int32_t>(value.start);
  field[3] = static_cast<int32_t>(value.bytes);
  return true;
}

/// What a line means for the message itself. Called before the line is in the table.
bool HeadParser::finish_known(const uint8_t* data, int id, Span value) noexcept {
  switch (id) {
    case kKnownHost:
      if (is_response_) return true;
      if (word(kHeadKnown + kKnownHost - 1) != 0) return (void)fail(kDuplicateHost, name_start_), false;
      if (!is_authority(text(data, value.start, value.bytes), false)) return (void)fail(kBadHost, value.start), false;
      return true;
    case kKnownContentLength:
      return take_length(data, value);
    case kKnownTransferEncoding:
      return take_coding(data, value);
    case kKnownConnection:
      return take_options(data, value);
    case kKnownExpect:
      if (!is_response_ && http11_ && equals_lower(data + value.start, value.bytes, "100-continue")) word(kHeadFlags) |= kFlagExpectContinue;
      return true;
    default:
      return true;
  }
}

/// RFC 9110 §8.6: 1*DIGIT.
bool HeadParser::take_length(const uint8_t* data, Span value) noexcept {
  if (word(kHeadKnown + kKnownContentLength - 1) != 0) return (void)fail(kDuplicateContentLength, name_start_), false;
  if (word(kHeadKnown + kKnownTransferEncoding - 1) != 0) return (void)fail(kContentLengthAndTransferEncoding, name_start_), false;
  uint64_t length = 0;
  bool good = value.bytes > 0;
  for (uint32_t i = 0; i < value.bytes && good; i++) {
    const uint8_t c = data[value.start + i];
    good = is_digit(c);
    length = length * 10 + static_cast<uint64_t>(c - '0');
    good = good && length <= kMaxSafeLength;
  }
  if (!good) return (void)fail(kBadContentLength, value.start), false;
  // RFC 9110 §9.3.6
  if (length > 0 && (word(kHeadFlags) & kFlagConnect) != 0) return (void)fail(kConnectWithBody, name_start_), false;
  word(kHeadLengthLow) = static_cast<int32_t>(static_cast<uint32_t>(length));
  word(kHeadLengthHigh) = static_cast<int32_t>(length >> 32);
  return true;
}

/// RFC 9112 §6.1. Anything but one plain `chunked` would have to be forwarded unchanged, and is read differently by different servers.
bool HeadParser::take_coding(const uint8_t* data, Span value) noexcept {
  const int32_t status = word(kHeadStatus);
  if (!http11_) return (void)fail(kTransferEncodingInHttp10, name_start_), false;
  if (is_response_ && (status < 200 || status == 204)) return (void)fail(kTransferEncodingWithoutBody, name_start_), false;
  if (word(kHeadKnown + kKnownTransferEncoding - 1) != 0) return (void)fail(kDuplicateTransferEncoding, name_start_), false;
  if (word(kHeadKnown + kKnownContentLength - 1) != 0) return (void)fail(kContentLengthAndTransferEncoding, name_start_), false;
  if (!equals_lower(data + value.start, value.bytes, "chunked")) return (void)fail(kBadTransferEncoding, value.start), false;
  if ((word(kHeadFlags) & kFlagConnect) != 0) return (void)fail(kConnectWithBody, name_start_), false;
  return true;
}

/// RFC 9110 §7.6.1. The fields it names may come later, so they are marked at the end of the head.
bool HeadParser::take_options(const uint8_t* data, Span value) noexcept {
  const uint32_t end = value.start + value.bytes;
  uint32_t at = value.start;
  while (at < end) {
    uint32_t stop = at;
    while (stop < end && data[stop] != ',') stop++;
    uint32_t last = stop;
    while (at < last && is_space(data[at])) at++;
    while (last > at && is_space(data[last - 1])) last--;
    const uint32_t bytes = last - at;
    if (equals_lower(data + at, bytes, "close")) {
      close_ = true;
    } else if (equals_lower(data + at, bytes, "keep-alive")) {
      keep_alive_ = true;
    } else if (equals_lower(data + at, bytes, "upgrade")) {
      upgrade_ = true;
    } else if (bytes > 0) {
      if (option_count_ == kMaxConnectionOptions) return (void)fail(kTooManyConnectionOptions, name_start_), false;
      options_[option_count_++] = {at, bytes};
    }
    at = stop + 1;
  }
  return true;
}

void HeadParser::mark_named(const uint8_t* data) noexcept {
  for (uint32_t option = 0; option < option_count_; option++) {
    const uint8_t* const name = data + options_[option].start;
    const uint32_t bytes = options_[option].bytes;
    if (std::any_of(kProtectedFields.begin(), kProtectedFields.end(), [&](std::string_view field) { return matches_name(name, bytes, field); })) continue;
    for (size_t at = kHeadFields; at < table_.size(); at += kFieldWords) {
      if (static_cast<uint32_t>(table_[at + 1] & 0xffff) != bytes || !same_name(data + table_[at], name, bytes)) continue;
      table_[at + 1] |= kHopByHop;
      // An expectation that is not forwarded will not be answered upstream.
      if ((table_[at + 1] >> 16 & 0xff) == kKnownExpect) word(kHeadFlags) &= ~kFlagExpectContinue;
    }
  }
}

bool HeadParser::finish_head(const uint8_t* data, uint32_t final_cr) noexcept {
  // RFC 9112 §3.2
  if (!is_response_ && http11_ && word(kHeadKnown + kKnownHost - 1) == 0) return (void)fail(kMissingHost, final_cr), false;
  if (option_count_ > 0) mark_named(data);
  word(kHeadHeadBytes) = static_cast<int32_t>(final_cr + 2 - skipped_);
  int32_t& flags = word(kHeadFlags);
  if (http11_ ? !close_ : keep_alive_ && !close_) flags |= kFlagKeepAlive;
  if (upgrade_ && http11_ && word(kHeadKnown + kKnownUpgrade - 1) != 0) flags |= kFlagUpgrade;
  const bool chunked = word(kHeadKnown + kKnownTransferEncoding - 1) != 0;
  const bool has_length = word(kHeadLengthHigh) >= 0;
  const bool is_empty = has_length && word(kHeadLengthLow) == 0 && word(kHeadLengthHigh) == 0;
  if (!is_response_) {
    flags |= chunked ? kFlagChunked : !has_length || is_empty ? kFlagEnd : 0;
    return true;
  }
  // RFC 9112 §6.3
  const int32_t status = word(kHeadStatus);
  flags |= kFlagResponse;
  if (status < 200 || status == 204 || status == 304 || is_empty) {
    flags |= kFlagEnd;
  } else if (chunked) {
    flags |= kFlagChunked;
  } else if (!has_length) {
    flags |= kFlagUntilClose;
  }
  return true;
}

}  // namespace sluice::http1
