// The twin of codecs/http2/framing/{connection,flood-guard}.ts; what each rule is for is said there.
#include "http2_connection.h"

#include <algorithm>
#include <string>

namespace sluice::http2 {

using namespace rules;

namespace {

constexpr std::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
constexpr uint32_t kHeaderBytes = kLimitFrameHeaderBytes;
/// Where a fault of the header lies.
constexpr uint32_t kAtLength = 0;
constexpr uint32_t kAtType = 3;
constexpr uint32_t kAtFlags = 4;
constexpr uint32_t kAtStream = 5;
/// The PING between the two GOAWAYs of a graceful end.
constexpr uint32_t kDrainLow = 0x736c7563;
constexpr uint32_t kDrainHigh = 0x64726e21;
/// A block that nobody wants: read for the table's sake, nothing is laid out.
constexpr hpack::ListLimits kDrop{0, 0, 0, http1::Underscores::kAllow, false};

[[nodiscard]] uint32_t read_u32(std::span<const uint8_t> bytes, size_t at) noexcept {
  return static_cast<uint32_t>(bytes[at]) << 24 | static_cast<uint32_t>(bytes[at + 1]) << 16 | static_cast<uint32_t>(bytes[at + 2]) << 8 | bytes[at + 3];
}
[[nodiscard]] uint32_t read_u31(std::span<const uint8_t> bytes, size_t at) noexcept { return read_u32(bytes, at) & 0x7fffffff; }

[[nodiscard]] FrameHeader read_header(std::span<const uint8_t> bytes) noexcept {
  return {static_cast<uint32_t>(bytes[0]) << 16 | static_cast<uint32_t>(bytes[1]) << 8 | bytes[2], bytes[3], bytes[4], read_u31(bytes, 5)};
}

[[nodiscard]] bool is_good_length(const FrameHeader& header) noexcept {
  const uint32_t length = header.length;
  const uint32_t padding = (header.flags & kFlagPadded) != 0 ? 1 : 0;
  switch (header.type) {
    case kTypeData:
      return length >= padding;
    case kTypeHeaders:
      return length >= padding + ((header.flags & kFlagPriority) != 0 ? 5 : 0);
    case kTypePriority:
      return length == 5;
    case kTypeRstStream:
    case kTypeWindowUpdate:
      return length == 4;
    case kTypeSettings:
      return (header.flags & kFlagAck) != 0 ? length == 0 : length % 6 == 0;
    case kTypePushPromise:
      return length >= padding + 4;
    case kTypePing:
      return length == 8;
    case kTypeGoaway:
      return length >= 8;
    default:
      return true;
  }
}

/// A rule that the header alone shows to be broken (headerFault in frame-header.ts); no kind: none.
[[nodiscard]] hpack::Fault header_fault(const FrameHeader& header, uint32_t max_frame_bytes) noexcept {
  if (header.length > max_frame_bytes) return {&kFaultFrameTooLarge, kAtLength};
  const bool on_connection = header.type == kTypeSettings || header.type == kTypePing || header.type == kTypeGoaway;
  const bool on_stream = header.type <= kTypeContinuation && !on_connection && header.type != kTypeWindowUpdate;
  if ((on_connection && header.stream != 0) || (on_stream && header.stream == 0)) return {&kFaultBadStreamId, kAtStream};
  if (!is_good_length(header)) return {&kFaultBadFrameSize, kAtLength};
  return {};
}

}  // namespace

FloodGuard::FloodGuard(const Options& options) noexcept
    : resets_(options[kOptionResetsBurst], options[kOptionResetsMs]),
      controls_(options[kOptionControlsBurst], options[kOptionControlsMs]),
      max_empties_(options[kOptionMaxEmptyFrames]),
      max_queued_(options[kOptionMaxQueuedControls]),
      updates_per_data_(options[kOptionWindowUpdatesPerData]),
      priorities_per_stream_(options[kOptionPrioritiesPerStream]) {}

bool FloodGuard::TokenBucket::take(int64_t now) noexcept {
  if (now > at_) {
    tokens_ = std::min(burst_, tokens_ + static_cast<double>(now - at_) * per_ms_);
    at_ = now;
  }
  if (tokens_ < 1) return false;
  tokens_ -= 1;
  return true;
}
void FloodGuard::TokenBucket::give() noexcept { tokens_ = std::min(burst_, tokens_ + 1); }

Connection::Connection(bool is_server, const Options& options, int64_t now)
    : options_(options),
      encoder_(static_cast<uint32_t>(options[kOptionEncoderTable])),
      guard_(options),
      now_(now),
      is_server_(is_server),
      receive_window_(std::max(kLimitDefaultWindow, options[kOptionConnectionWindow])) {
  limits_.max_head_bytes = static_cast<uint32_t>(option(kOptionMaxHeadBytes));
  limits_.max_headers = static_cast<uint32_t>(option(kOptionMaxHeaders));
  limits_.max_target_bytes = static_cast<uint32_t>(option(kOptionMaxTargetBytes));
  const int32_t underscores = option(kOptionUnderscores);
  limits_.underscores = underscores >= 0 && underscores <= 2 ? static_cast<http1::Underscores>(underscores) : http1::Underscores::kAllow;
  limits_.extended_connect = option(kOptionExtendedConnect) == 1;
  if (!is_server_) {
    output_.assign(kPreface.begin(), kPreface.end());
    preface_seen_ = kPreface.size();
  }
  send_settings();
}

void Connection::send_settings() {
  std::array<std::pair<int, int32_t>, 6> settings;
  size_t count = 0;
  const auto add = [&](int id, int32_t value) { settings[count++] = {id, value}; };
  add(kSettingHeaderTableSize, option(kOptionDecoderTable));
  add(kSettingInitialWindowSize, option(kOptionStreamWindow));
  add(kSettingMaxFrameSize, option(kOptionMaxFrameSize));
  add(kSettingMaxHeaderListSize, option(kOptionMaxHeadBytes));
  if (is_server_) {
    add(kSettingMaxConcurrentStreams, option(kOptionMaxConcurrentStreams));
  } else {
    add(kSettingEnablePush, 0);
  }
  if (is_server_ && option(kOptionExtendedConnect) == 1) add(kSettingEnableConnectProtocol, 1);
  write_header(count * 6, kTypeSettings, 0, 0);
  for (size_t i = 0; i < count; i++) {
    write_u16(static_cast<uint32_t>(settings[i].first));
    write_u32(static_cast<uint32_t>(settings[i].second));
  }
  const int64_t more = receive_window_ - kLimitDefaultWindow;
  if (more > 0) write_window_update(0, static_cast<uint32_t>(more));
  settings_pending_ = true;
  const int32_t timeout_ms = option(kOptionSettingsTimeoutMs);
  if (timeout_ms > 0) settings_deadline_ = now_ + timeout_ms;
}

// -------------------------------------------------------------------------------------------------------------------- reading

const Event& Connection::next(std::span<const uint8_t> input, size_t& consumed, int64_t now) {
  now_ = now;
  event_.kind = kEventMore;
  if (is_broken_) {
    consumed = input.size();
    return event_;
  }
  Step state = Step::kGo;
  while (event_.kind == kEventMore && state == Step::kGo) state = step(input, consumed);
  if (state == Step::kBroken) end_broken();
  return event_;
}

bool Connection::breaks(const FaultKind& kind, uint32_t offset) noexcept {
  broken_ = {&kind, offset};
  return false;
}
bool Connection::flood(const FaultKind* kind) noexcept { return kind == nullptr || breaks(*kind, kAtType); }

/// A connection error (RFC 9113 §5.4.1).
void Connection::end_broken() {
  is_broken_ = true;
  settings_deadline_ = 0;
  write_go_away(last_peer_stream_, broken_.kind->error, broken_.kind->code);
  event_.kind = kEventFault;
  event_.stream = 0;
  event_.error = broken_.kind->error;
  event_.fault = broken_.kind;
  event_.offset = broken_.offset;
}

Connection::Step Connection::step(std::span<const uint8_t> input, size_t& at) {
  if (data_left_ > 0 || pad_left_ > 0) return take_data(input, at);
  if (preface_seen_ < kPreface.size()) return take_preface(input, at);
  if (input.size() - at < kHeaderBytes) return Step::kMore;
  header_ = read_header(input.subspan(at, kHeaderBytes));
  if (!check_header()) return Step::kBroken;
  if (header_.type == kTypeData) return begin_data(input, at);
  if (input.size() - at - kHeaderBytes < header_.length) return Step::kMore;
  const auto payload = input.subspan(at + kHeaderBytes, header_.length);
  at += kHeaderBytes + header_.length;
  return take_frame(payload) ? Step::kGo : Step::kBroken;
}

Connection::Step Connection::take_preface(std::span<const uint8_t> input, size_t& at) {
  for (; preface_seen_ < kPreface.size(); preface_seen_++, at++) {
    if (at == input.size()) return Step::kMore;
    if (input[at] != static_cast<uint8_t>(kPreface[preface_seen_])) return (void)breaks(kFaultBadPreface, preface_seen_), Step::kBroken;
  }
  return Step::kGo;
}

bool Connection::check_header() noexcept {
  const auto& [length, type, flags, stream] = header_;
  // RFC 9113 §3.4
  if (!saw_settings_ && (type != kTypeSettings || (flags & kFlagAck) != 0)) return breaks(kFaultBadPreface, kAtType);
  // RFC 9113 §6.10: nothing stands between the frames of a field block.
  if ((type == kTypeContinuation) != (block_stream_ != 0)) return breaks(kFaultBadContinuation, kAtType);
  if (block_stream_ != 0 && stream != block_stream_) return breaks(kFaultBadContinuation, kAtStream);
  const auto max_frame_bytes = static_cast<uint32_t>(option(kOptionMaxFrameSize));
  // The one length that concerns a stream only (RFC 9113 §6.3); it is looked at when the frame is whole.
  if (type == kTypePriority && length != 5 && stream != 0 && length <= max_frame_bytes) return true;
  const hpack::Fault fault = header_fault(header_, max_frame_bytes);
  if (fault.kind != nullptr) return breaks(*fault.kind, fault.offset);
  if (type == kTypePushPromise) return breaks(kFaultUnexpectedPush, kAtType);
  return true;
}

bool Connection::take_frame(std::span<const uint8_t> payload) {
  switch (header_.type) {
    case kTypeHeaders:
      return take_headers(payload);
    case kTypeContinuation:
      return take_continuation(payload);
    case kTypePriority:
      if (!flood(guard_.priority())) return false;
      return payload.size() == 5 || priority_of_wrong_length();
    case kTypeRstStream:
      return take_reset(header_.stream, read_u32(payload, 0));
    case kTypeSettings:
      return (header_.flags & kFlagAck) != 0 ? take_settings_ack() : take_settings(payload);
    case kTypePing:
      return take_ping(read_u32(payload, 0), read_u32(payload, 4));
    case kTypeGoaway:
      return take_go_away(read_u31(payload, 0), read_u32(payload, 4));
    case kTypeWindowUpdate:
      return take_window_update(header_.stream, read_u31(payload, 0));
    default:
      // RFC 9113 §4.1: unknown types are ignored.
      return flood(guard_.control(now_));
  }
}

// ----------------------------------------------------------------------------------------------------------------------- DATA

/// RFC 9113 §6.1: begins when its header is there, and its pad length.
Connection::Step Connection::begin_data(std::span<const uint8_t> input, size_t& at) {
  const uint32_t length = header_.length;
  const uint32_t id = header_.stream;
  const bool is_padded = (header_.flags & kFlagPadded) != 0;
  const size_t prefix = kHeaderBytes + (is_padded ? 1 : 0);
  if (input.size() - at < prefix) return Step::kMore;
  const uint32_t pad = is_padded ? input[at + kHeaderBytes] : 0;
  const uint32_t around = pad + (is_padded ? 1 : 0);
  if (around > length) return (void)breaks(kFaultBadPadding, kHeaderBytes), Step::kBroken;
  const uint32_t content = length - around;
  const bool ends = (header_.flags & kFlagEndStream) != 0;
  Stream* const stream = find(id);
  if (stream == nullptr && is_idle(id)) return (void)breaks(kFaultIdleStream, kAtStream), Step::kBroken;
  if (length > receive_window_) return (void)breaks(kFaultWindowExceeded, kAtLength), Step::kBroken;
  if (content > 0) {
    guard_.useful();
  } else if (!ends && !flood(guard_.empty())) {
    return Step::kBroken;
  }
  receive_window_ -= length;
  at += prefix;
  data_left_ = content;
  pad_left_ = pad;
  data_ends_ = ends;
  data_stream_ = 0;
  data_dropped_ = false;
  bool good = true;
  if (stream == nullptr || stream->is_reset) {
    good = late_data(id);
  } else if (stream->remote_ended) {
    good = stream_fault(*stream, kFaultStreamClosed, kAtStream);
  } else {
    good = accept_data(*stream, length, content, ends);
  }
  if (!good) return Step::kBroken;
  // Padding, and whatever nobody gets, is taken at once.
  const uint32_t lost = data_stream_ == 0 ? length : length - content;
  if (lost > 0) give(data_stream_ == 0 ? nullptr : find(data_stream_), lost);
  if (data_stream_ != 0 && content == 0 && ends) emit_data(data_stream_, {}, true);
  return Step::kGo;
}

bool Connection::accept_data(Stream& stream, uint32_t length, uint32_t content, bool ends) {
  if (length > stream.receive_window) return stream_fault(stream, kFaultWindowExceeded, kAtLength);
  if (!stream.has_head) return stream_fault(stream, kFaultEarlyData, kAtType);
  stream.receive_window -= length;
  stream.received += content;
  // RFC 9113 §8.1.1
  if (stream.expected >= 0 && (stream.received > stream.expected || (ends && stream.received != stream.expected))) {
    return stream_fault(stream, kFaultContentLengthMismatch, kAtLength);
  }
  if (!stream.discards) data_stream_ = stream.id;
  if (ends) end_remote(stream);
  return true;
}

/// DATA for a stream that is gone: what was in flight when we reset it is fine (RFC 9113 §5.1).
bool Connection::late_data(uint32_t id) {
  if (is_beyond_go_away(id) || gone_as(id) == Gone::kResetByUs) return flood(guard_.control(now_));
  return reject_stream(id, kFaultStreamClosed);
}

Connection::Step Connection::take_data(std::span<const uint8_t> input, size_t& at) {
  const size_t there = input.size() - at;
  if (there == 0) return Step::kMore;
  if (data_left_ == 0) {
    const auto skipped = static_cast<uint32_t>(std::min<size_t>(there, pad_left_));
    at += skipped;
    pad_left_ -= skipped;
    return Step::kGo;
  }
  const auto length = static_cast<uint32_t>(std::min<size_t>(there, data_left_));
  const auto bytes = input.subspan(at, length);
  at += length;
  data_left_ -= length;
  if (data_stream_ == 0) return Step::kGo;
  if (data_dropped_) {
    give(nullptr, length);
  } else {
    emit_data(data_stream_, bytes, data_ends_ && data_left_ == 0);
  }
  return Step::kGo;
}

void Connection::emit_data(uint32_t id, std::span<const uint8_t> bytes, bool ends) noexcept {
  event_.kind = kEventData;
  event_.stream = id;
  event_.bytes = bytes;
  event_.ends = ends;
}

// --------------------------------------------------------------------------------------------------------------------- fields

/// RFC 9113 §6.2.
bool Connection::take_headers(std::span<const uint8_t> payload) {
  const uint8_t flags = header_.flags;
  const bool is_padded = (flags & kFlagPadded) != 0;
  const size_t front = (is_padded ? 1 : 0) + ((flags & kFlagPriority) != 0 ? 5 : 0);
  const size_t pad = is_padded ? payload[0] : 0;
  if (front + pad > payload.size()) return breaks(kFaultBadPadding, kHeaderBytes);
  const auto fragment = payload.subspan(front, payload.size() - front - pad);
  if ((flags & kFlagEndHeaders) != 0) {
    if (!fragment.empty()) guard_.useful();
    return take_block(fragment, header_.stream, flags);
  }
  if (fragment.empty() && !flood(guard_.empty())) return false;
  block_stream_ = header_.stream;
  block_flags_ = flags;
  block_.clear();
  continuations_ = 0;
  return keep_fragment(fragment);
}

/// RFC 9113 §6.10. Bounded before the block is whole: CVE-2024-27316 and its kin.
bool Connection::take_continuation(std::span<const uint8_t> payload) {
  if (++continuations_ > option(kOptionMaxContinuations)) return breaks(kFaultTooManyContinuations, kAtType);
  const bool ends = (header_.flags & kFlagEndHeaders) != 0;
  if (payload.empty() && !ends && !flood(guard_.empty())) return false;
  if (!keep_fragment(payload)) return false;
  if (!ends) return true;
  const uint32_t stream = block_stream_;
  block_stream_ = 0;
  if (!block_.empty()) guard_.useful();
  const bool good = take_block(block_, stream, block_flags_);
  std::vector<uint8_t>().swap(block_);
  return good;
}

bool Connection::keep_fragment(std::span<const uint8_t> fragment) {
  if (block_.size() + fragment.size() > static_cast<size_t>(option(kOptionMaxBlockBytes))) return breaks(kFaultBlockTooLarge, kAtLength);
  block_.insert(block_.end(), fragment.begin(), fragment.end());
  return true;
}

/// A whole field block. Whatever its stream is at, it goes through the decoder (RFC 9113 §4.3).
bool Connection::take_block(std::span<const uint8_t> block, uint32_t id, uint8_t flags) {
  const bool ends = (flags & kFlagEndStream) != 0;
  Stream* const stream = find(id);
  if (stream == nullptr && is_idle(id)) return opened(block, id, ends);
  if (stream == nullptr || stream->is_reset) return late_block(block, id);
  if (stream->remote_ended) return drop(block) && stream_fault(*stream, kFaultStreamClosed, kAtStream);
  if (stream->has_head) return take_trailers(block, *stream, ends);
  return response(block, *stream, ends);
}

bool Connection::decode(std::span<const uint8_t> block, int kind) {
  return decoder_.decode(block, kind, limits_) || breaks(*decoder_.fault().kind, decoder_.fault().offset);
}
bool Connection::drop(std::span<const uint8_t> block) {
  return decoder_.decode(block, kBlockFields, kDrop) || breaks(*decoder_.fault().kind, decoder_.fault().offset);
}

/// A new stream of the peer.
bool Connection::opened(std::span<const uint8_t> block, uint32_t id, bool ends) {
  // RFC 9113 §5.1.1: clients have odd ids; a server opens none, since we allow no push.
  if (!is_server_ || id % 2 == 0) return breaks(is_server_ ? kFaultBadStreamId : kFaultIdleStream, kAtStream);
  last_peer_stream_ = id;
  guard_.opened();
  if (open_ >= static_cast<uint32_t>(option(kOptionMaxConcurrentStreams))) return drop(block) && reject_stream(id, kFaultTooManyStreams);
  if (!decode(block, kBlockRequest)) return false;
  const hpack::Fault& fault = decoder_.fault();
  const auto table = decoder_.table();
  const int64_t length = table[layout::kHeadLengthHigh] < 0 ? -1
                                                            : static_cast<int64_t>(table[layout::kHeadLengthHigh]) << 32 |
                                                                  static_cast<uint32_t>(table[layout::kHeadLengthLow]);
  const bool is_connect = (table[layout::kHeadFlags] & (layout::kFlagConnect | layout::kFlagExtendedConnect)) != 0;
  const bool is_too_large = fault.kind != nullptr && fault.kind->error == kErrorEnhanceYourCalm;
  if (fault.kind != nullptr && !is_too_large) return bad_message(id, *fault.kind, fault.offset);
  if (!is_too_large && !is_connect && ends && length > 0) return bad_message(id, kFaultContentLengthMismatch, kAtLength);
  Stream& stream = add_stream(id);
  stream.has_head = true;
  stream.expected = is_connect || is_too_large ? -1 : length;
  stream.discards = is_too_large;
  if (ends) end_remote(stream);
  if (fault.kind == nullptr) {
    emit_head(stream, ends);
    return true;
  }
  event_.kind = kEventBadHead;
  event_.stream = id;
  event_.ends = ends;
  event_.fault = fault.kind;
  event_.offset = fault.offset;
  event_.error = fault.kind->error;
  event_.status = fault.kind->status;
  return true;
}

void Connection::emit_head(const Stream& stream, bool ends) noexcept {
  if (ends) decoder_.words()[layout::kHeadFlags] |= layout::kFlagEnd;
  event_.kind = kEventHead;
  event_.stream = stream.id;
  event_.ends = ends;
}

/// RFC 9113 §8.1: any number of 1xx, then the final response.
bool Connection::response(std::span<const uint8_t> block, Stream& stream, bool ends) {
  if (!decode(block, kBlockResponse)) return false;
  const hpack::Fault& fault = decoder_.fault();
  if (fault.kind != nullptr) return stream_fault(stream, *fault.kind, fault.offset);
  const auto table = decoder_.table();
  const int32_t status = table[layout::kHeadStatus];
  if (status < 200) {
    if (ends) return stream_fault(stream, kFaultBadTrailers, kAtFlags);
    emit_head(stream, false);
    return true;
  }
  stream.has_head = true;
  if (stream.is_head || status == 204 || status == 304) {
    stream.expected = 0;
  } else if (!(stream.is_connect && status < 300) && table[layout::kHeadLengthHigh] >= 0) {
    stream.expected = static_cast<int64_t>(table[layout::kHeadLengthHigh]) << 32 | static_cast<uint32_t>(table[layout::kHeadLengthLow]);
  }
  if (ends && stream.expected > 0) return stream_fault(stream, kFaultContentLengthMismatch, kAtLength);
  emit_head(stream, ends);
  if (ends) end_remote(stream);
  return true;
}

bool Connection::take_trailers(std::span<const uint8_t> block, Stream& stream, bool ends) {
  if (!decode(block, kBlockTrailers)) return false;
  if (!ends) return stream_fault(stream, kFaultBadTrailers, kAtFlags);
  const hpack::Fault& fault = decoder_.fault();
  if (fault.kind != nullptr) return stream_fault(stream, *fault.kind, fault.offset);
  if (stream.expected >= 0 && stream.received != stream.expected) return stream_fault(stream, kFaultContentLengthMismatch, kAtLength);
  const uint32_t id = stream.id;
  const bool discards = stream.discards;
  end_remote(stream);
  if (discards) return true;
  event_.kind = kEventTrailers;
  event_.stream = id;
  event_.ends = true;
  return true;
}

/// Fields for a stream that is gone.
bool Connection::late_block(std::span<const uint8_t> block, uint32_t id) {
  if (!drop(block)) return false;
  if (is_beyond_go_away(id)) return flood(guard_.control(now_));
  switch (gone_as(id)) {
    case Gone::kResetByUs:
      return flood(guard_.control(now_));
    case Gone::kResetByPeer:
      return reject_stream(id, kFaultStreamClosed);
    case Gone::kEnded:
      return breaks(kFaultStreamClosed, kAtStream);
    default:
      // RFC 9113 §5.1.1: an id below one that was used.
      return breaks(kFaultBadStreamId, kAtStream);
  }
}

// ------------------------------------------------------------------------------------------------------------- control frames

bool Connection::take_reset(uint32_t id, uint32_t error) {
  Stream* const stream = find(id);
  if (stream == nullptr && is_idle(id)) return breaks(kFaultIdleStream, kAtStream);
  if (stream == nullptr || stream->is_reset) return flood(guard_.control(now_));
  if (is_server_ && !flood(guard_.reset(now_))) return false;
  gone(*stream, Gone::kResetByPeer);
  event_.kind = kEventReset;
  event_.stream = id;
  event_.error = error;
  event_.fault = nullptr;
  event_.offset = 0;
  return true;
}

bool Connection::priority_of_wrong_length() {
  const uint32_t id = header_.stream;
  Stream* const stream = find(id);
  if (stream != nullptr && !stream->is_reset) return stream_fault(*stream, kFaultBadFrameSize, kAtLength);
  // RST_STREAM must not be sent for an idle stream.
  if (is_idle(id)) return breaks(kFaultBadFrameSize, kAtLength);
  return reject_stream(id, kFaultBadFrameSize);
}

/// RFC 9113 §6.5.
bool Connection::take_settings(std::span<const uint8_t> payload) {
  if (payload.size() / 6 > static_cast<size_t>(option(kOptionMaxSettings))) return breaks(kFaultTooManySettings, kAtLength);
  if (saw_settings_ && !flood(guard_.control(now_))) return false;
  saw_settings_ = true;
  for (size_t at = 0; at < payload.size(); at += 6) {
    if (!setting(static_cast<uint32_t>(payload[at]) << 8 | payload[at + 1], read_u32(payload, at + 2), static_cast<uint32_t>(kHeaderBytes + at))) return false;
  }
  write_header(0, kTypeSettings, kFlagAck, 0);
  if (!flood(guard_.queued())) return false;
  event_.kind = kEventSettings;
  event_.stream = 0;
  return true;
}

bool Connection::setting(uint32_t id, uint32_t value, uint32_t offset) {
  switch (id) {
    case kSettingHeaderTableSize:
      encoder_.set_peer_table_bytes(value);
      return true;
    case kSettingEnablePush:
      return !(value > 1 || (value == 1 && !is_server_)) || breaks(kFaultBadSetting, offset);
    case kSettingMaxConcurrentStreams:
      peer_max_streams_ = value;
      return true;
    case kSettingInitialWindowSize:
      if (value > static_cast<uint32_t>(kLimitMaxWindow)) return breaks(kFaultBadWindowSetting, offset);
      // RFC 9113 §6.9.2: a window may become negative.
      {
        bool overflows = false;
        streams_.each([&](uint32_t, Stream& stream) {
          stream.send_window += value - peer_window_;
          overflows = overflows || stream.send_window > kLimitMaxWindow;
        });
        if (overflows) return breaks(kFaultBadWindowSetting, offset);
      }
      peer_window_ = value;
      return true;
    case kSettingMaxFrameSize:
      if (value < static_cast<uint32_t>(kLimitMinFrameSize) || value > static_cast<uint32_t>(kLimitMaxFrameSize)) return breaks(kFaultBadSetting, offset);
      peer_max_frame_ = value;
      return true;
    case kSettingEnableConnectProtocol:
      // RFC 8441 §3: never back to 0.
      if (value > 1 || (value == 0 && peer_allows_connect_)) return breaks(kFaultBadSetting, offset);
      peer_allows_connect_ = value == 1;
      return true;
    case kSettingNoRfc7540Priorities:
      return value <= 1 || breaks(kFaultBadSetting, offset);
    default:
      return true;
  }
}

/// Ours hold from here on.
bool Connection::take_settings_ack() {
  if (!settings_pending_) return breaks(kFaultUnexpectedAck, kAtFlags);
  settings_pending_ = false;
  settings_deadline_ = 0;
  decoder_.set_max_table_bytes(static_cast<uint32_t>(option(kOptionDecoderTable)));
  const int64_t window = option(kOptionStreamWindow);
  streams_.each([&](uint32_t, Stream& stream) { stream.receive_window += window - own_window_; });
  own_window_ = window;
  event_.kind = kEventSettingsAck;
  event_.stream = 0;
  return true;
}

/// RFC 9113 §6.7.
bool Connection::take_ping(uint32_t low, uint32_t high) {
  if ((header_.flags & kFlagAck) == 0) {
    if (!flood(guard_.control(now_))) return false;
    write_header(8, kTypePing, kFlagAck, 0);
    write_u32(low);
    write_u32(high);
    return flood(guard_.queued());
  }
  if (is_draining_ && low == kDrainLow && high == kDrainHigh) return finish_drain(), true;
  event_.kind = kEventPingAck;
  event_.stream = 0;
  event_.low = low;
  event_.high = high;
  return true;
}

/// RFC 9113 §6.8. Of ours, streams above `last` are forgotten: they were not processed, and may be tried again elsewhere.
bool Connection::take_go_away(uint32_t last, uint32_t error) {
  if (!flood(guard_.control(now_))) return false;
  if (go_away_received_ >= 0 && last > go_away_received_) return breaks(kFaultBadGoaway, kHeaderBytes);
  go_away_received_ = last;
  if (!is_server_) {
    std::vector<uint32_t> above;
    streams_.each([&](uint32_t id, const Stream&) {
      if (id > last) above.push_back(id);
    });
    std::sort(above.begin(), above.end());
    for (const uint32_t id : above) gone(*find(id), Gone::kResetByUs);
  }
  event_.kind = kEventGoaway;
  event_.stream = 0;
  event_.low = last;
  event_.error = error;
  return true;
}

/// RFC 9113 §6.9.
bool Connection::take_window_update(uint32_t id, uint32_t increment) {
  if (!flood(guard_.window_update())) return false;
  if (id == 0) {
    if (increment == 0) return breaks(kFaultZeroIncrement, kHeaderBytes);
    const int64_t before = send_window_;
    send_window_ += increment;
    if (send_window_ > kLimitMaxWindow) return breaks(kFaultWindowOverflow, kHeaderBytes);
    if (before > 0) return true;
    event_.kind = kEventWindow;
    event_.stream = 0;
    return true;
  }
  Stream* const stream = find(id);
  if (stream == nullptr && is_idle(id)) return breaks(kFaultIdleStream, kAtStream);
  // Legal on a stream that is half-closed or recently closed.
  if (stream == nullptr || stream->is_reset) return true;
  if (increment == 0) return stream_fault(*stream, kFaultZeroIncrement, kHeaderBytes);
  const int64_t before = stream->send_window;
  stream->send_window += increment;
  if (stream->send_window > kLimitMaxWindow) return stream_fault(*stream, kFaultWindowOverflow, kHeaderBytes);
  if (before > 0 || stream->send_window <= 0) return true;
  event_.kind = kEventWindow;
  event_.stream = id;
  return true;
}

// -------------------------------------------------------------------------------------------------------------------- streams

Connection::Stream& Connection::add_stream(uint32_t id) {
  Stream& stream = streams_[id];
  stream.id = id;
  stream.send_window = peer_window_;
  stream.receive_window = own_window_;
  open_++;
  return stream;
}
Connection::Stream* Connection::find(uint32_t id) noexcept { return streams_.find(id); }
const Connection::Stream* Connection::find(uint32_t id) const noexcept { return streams_.find(id); }
Connection::Stream* Connection::writable(uint32_t id) noexcept {
  Stream* const stream = find(id);
  return stream == nullptr || stream->is_reset || stream->local_ended || is_broken_ ? nullptr : stream;
}
/// RFC 9113 §5.1: nobody has used the id yet.
bool Connection::is_idle(uint32_t id) const noexcept {
  if (is_beyond_go_away(id)) return false;
  if (id % 2 == 0) return true;
  return is_server_ ? id > last_peer_stream_ : id >= next_stream_;
}
/// After our final GOAWAY: a stream that we do not serve any more.
bool Connection::is_beyond_go_away(uint32_t id) const noexcept { return go_away_sent_ >= 0 && id > go_away_sent_ && id % 2 == 1; }

Connection::Gone Connection::gone_as(uint32_t id) const noexcept {
  if (remembered_ != nullptr) {
    const auto& ids = remembered_->ids;
    const auto found = std::find(ids.begin(), ids.end(), id);
    if (found != ids.end()) return remembered_->how[static_cast<size_t>(found - ids.begin())];
  }
  return find(id) == nullptr ? Gone::kUnknown : Gone::kResetByPeer;
}
void Connection::remember(uint32_t id, Gone how) {
  if (remembered_ == nullptr) remembered_ = std::make_unique<Remembered>();
  remembered_->ids[remembered_->at] = id;
  remembered_->how[remembered_->at] = how;
  remembered_->at = (remembered_->at + 1) % remembered_->ids.size();
}
void Connection::end_remote(Stream& stream) {
  stream.remote_ended = true;
  if (stream.local_ended) complete(stream);
}
void Connection::end_local(Stream& stream) {
  stream.local_ended = true;
  if (stream.remote_ended) complete(stream);
}
void Connection::complete(const Stream& stream) {
  guard_.completed();
  const uint32_t id = stream.id;
  forget(id);
  remember(id, Gone::kEnded);
}
void Connection::forget(uint32_t id) {
  streams_.erase(id);
  open_--;
}
/// A stream was reset. Downstream it counts until its owner releases it, unless the owner itself has reset it.
void Connection::gone(Stream& stream, Gone how) {
  remember(stream.id, how);
  if (is_server_ && stream.has_head && !stream.discards) {
    stream.is_reset = true;
  } else {
    forget(stream.id);
  }
}

/// A stream error (RFC 9113 §5.4.2): RST_STREAM, and the owner is told.
bool Connection::stream_fault(Stream& stream, const FaultKind& kind, uint32_t offset) {
  const uint32_t id = stream.id;
  gone(stream, Gone::kResetByUs);
  if (!write_reset(id, kind.error) || !flood(guard_.reset(now_))) return false;
  emit_reset(id, kind, offset);
  return true;
}
/// A message whose stream the owner never sees: it is told all the same, for its log and counters.
bool Connection::bad_message(uint32_t id, const FaultKind& kind, uint32_t offset) {
  if (!reject_stream(id, kind)) return false;
  emit_reset(id, kind, offset);
  return true;
}
void Connection::emit_reset(uint32_t id, const FaultKind& kind, uint32_t offset) noexcept {
  event_.kind = kEventReset;
  event_.stream = id;
  event_.error = kind.error;
  event_.fault = &kind;
  event_.offset = offset;
}
/// RST_STREAM for a stream that is not there.
bool Connection::reject_stream(uint32_t id, const FaultKind& kind) {
  remember(id, Gone::kResetByUs);
  return write_reset(id, kind.error) && flood(guard_.reset(now_));
}
bool Connection::write_reset(uint32_t id, uint32_t error) {
  write_header(4, kTypeRstStream, 0, id);
  write_u32(error);
  return flood(guard_.queued());
}

// --------------------------------------------------------------------------------------------------------------- flow control

/// Bytes of DATA went on, or were thrown away: the peer may send as many more, and hears so once they are half of a window.
void Connection::give(Stream* stream, int64_t bytes) {
  returned_ += bytes;
  if (2 * returned_ >= std::max(kLimitDefaultWindow, option(kOptionConnectionWindow))) {
    receive_window_ += returned_;
    write_window_update(0, static_cast<uint32_t>(returned_));
    returned_ = 0;
  }
  if (stream == nullptr || stream->remote_ended || stream->is_reset) return;
  stream->returned += bytes;
  if (2 * stream->returned < own_window_) return;
  stream->receive_window += stream->returned;
  write_window_update(stream->id, static_cast<uint32_t>(stream->returned));
  stream->returned = 0;
}
void Connection::consume(uint32_t id, uint32_t bytes) {
  if (bytes > 0 && !is_broken_) give(find(id), bytes);
}
uint32_t Connection::sendable(uint32_t id) const noexcept {
  const Stream* const stream = find(id);
  if (stream == nullptr || stream->is_reset || stream->local_ended) return 0;
  return static_cast<uint32_t>(std::max<int64_t>(0, std::min(stream->send_window, send_window_)));
}

// -------------------------------------------------------------------------------------------------------------------- writing

bool Connection::can_open(uint32_t more) const noexcept {
  return !is_server_ && !is_broken_ && go_away_received_ < 0 && !is_draining_ && uint64_t{open_} + more < peer_max_streams_ &&
         uint64_t{next_stream_} + 2 * uint64_t{more} <= static_cast<uint64_t>(kLimitMaxStreamId);
}

uint32_t Connection::request(const OutHead& head, bool ends) {
  if (!can_open()) return 0;
  const uint32_t id = next_stream_;
  next_stream_ += 2;
  guard_.opened();
  Stream& stream = add_stream(id);
  fields_.clear();
  encoder_.head(head.table, head.base, head.edits, head.edit_bytes, head.how, fields_);
  write_fields(id, ends);
  stream.is_head = encoder_.is_head();
  stream.is_connect = encoder_.is_connect() || head.how.upgrade || (!head.table.empty() && (head.table[layout::kHeadFlags] & layout::kFlagExtendedConnect) != 0);
  if (ends) end_local(stream);
  return id;
}
bool Connection::respond(uint32_t id, const OutHead& head, bool ends) {
  Stream* const stream = writable(id);
  if (stream == nullptr) return false;
  fields_.clear();
  encoder_.head(head.table, head.base, head.edits, head.edit_bytes, head.how, fields_);
  write_fields(id, ends);
  if (ends) end_local(*stream);
  return true;
}
int64_t Connection::data(uint32_t id, std::span<const uint8_t> bytes, bool ends) {
  Stream* const stream = writable(id);
  if (stream == nullptr) return -1;
  const size_t most = std::min<size_t>(bytes.size(), sendable(id));
  stream->send_window -= static_cast<int64_t>(most);
  send_window_ -= static_cast<int64_t>(most);
  size_t at = 0;
  do {
    const size_t length = std::min(most - at, max_frame());
    const bool is_last = ends && at + length == bytes.size();
    // RFC 9113 §6.9.1: an empty frame with END_STREAM needs no window.
    if (length == 0 && !is_last) break;
    write_header(length, kTypeData, is_last ? kFlagEndStream : 0, id);
    output_.insert(output_.end(), bytes.begin() + static_cast<ptrdiff_t>(at), bytes.begin() + static_cast<ptrdiff_t>(at + length));
    guard_.sent_data();
    at += length;
    if (is_last) end_local(*stream);
  } while (at < most);
  return static_cast<int64_t>(at);
}
bool Connection::trailers(uint32_t id, std::string_view lines) {
  Stream* const stream = writable(id);
  if (stream == nullptr) return false;
  fields_.clear();
  encoder_.lines(lines, fields_);
  write_fields(id, true);
  end_local(*stream);
  return true;
}
bool Connection::trailers(uint32_t id, std::span<const int32_t> table, const uint8_t* base) {
  Stream* const stream = writable(id);
  if (stream == nullptr) return false;
  fields_.clear();
  encoder_.trailers(table, base, fields_);
  write_fields(id, true);
  end_local(*stream);
  return true;
}
void Connection::reset(uint32_t id, uint32_t error) {
  const Stream* const stream = find(id);
  if (stream == nullptr || is_broken_) return;
  if (!stream->is_reset) {
    write_header(4, kTypeRstStream, 0, id);
    write_u32(error);
    remember(id, Gone::kResetByUs);
  }
  if (id == data_stream_) data_dropped_ = true;
  forget(id);
}
void Connection::release(uint32_t id) {
  const Stream* const stream = find(id);
  if (stream != nullptr && stream->is_reset) forget(id);
}
void Connection::ping(uint32_t low, uint32_t high) {
  write_header(8, kTypePing, 0, 0);
  write_u32(low);
  write_u32(high);
}

void Connection::drain() {
  if (is_draining_ || is_broken_) return;
  is_draining_ = true;
  if (!is_server_) return write_go_away(0, kErrorNoError, {});
  write_go_away(kLimitMaxStreamId, kErrorNoError, {});
  ping(kDrainLow, kDrainHigh);
}
void Connection::finish_drain() {
  if (!is_server_ || is_broken_ || go_away_sent_ >= 0) return;
  is_draining_ = true;
  go_away_sent_ = last_peer_stream_;
  write_go_away(last_peer_stream_, kErrorNoError, {});
}
void Connection::abort(uint32_t error, std::string_view debug) {
  if (is_broken_) return;
  is_broken_ = true;
  settings_deadline_ = 0;
  write_go_away(last_peer_stream_, error, debug);
}
const Event& Connection::expire(int64_t now) {
  now_ = now;
  event_.kind = kEventMore;
  if (settings_deadline_ != 0 && now >= settings_deadline_) {
    (void)breaks(kFaultSettingsTimeout, 0);
    end_broken();
  }
  return event_;
}

size_t Connection::max_frame() const noexcept { return std::min(peer_max_frame_, static_cast<uint32_t>(kLimitMinFrameSize)); }

void Connection::write_header(size_t length, int type, int flags, uint32_t stream) {
  const std::array<uint8_t, 5> head = {static_cast<uint8_t>(length >> 16), static_cast<uint8_t>(length >> 8), static_cast<uint8_t>(length),
                                       static_cast<uint8_t>(type), static_cast<uint8_t>(flags)};
  output_.insert(output_.end(), head.begin(), head.end());
  write_u32(stream);
}
void Connection::write_u16(uint32_t value) {
  output_.push_back(static_cast<uint8_t>(value >> 8));
  output_.push_back(static_cast<uint8_t>(value));
}
void Connection::write_u32(uint32_t value) {
  const std::array<uint8_t, 4> bytes = {static_cast<uint8_t>(value >> 24), static_cast<uint8_t>(value >> 16), static_cast<uint8_t>(value >> 8),
                                        static_cast<uint8_t>(value)};
  output_.insert(output_.end(), bytes.begin(), bytes.end());
}
/// The block in `fields_`, in HEADERS and as many CONTINUATION frames as it takes.
void Connection::write_fields(uint32_t stream, bool ends) {
  int type = kTypeHeaders;
  size_t at = 0;
  do {
    const size_t end = std::min(at + max_frame(), fields_.size());
    write_header(end - at, type, (end == fields_.size() ? kFlagEndHeaders : 0) | (type == kTypeHeaders && ends ? kFlagEndStream : 0), stream);
    output_.insert(output_.end(), fields_.begin() + static_cast<ptrdiff_t>(at), fields_.begin() + static_cast<ptrdiff_t>(end));
    type = kTypeContinuation;
    at = end;
  } while (at < fields_.size());
}
void Connection::write_go_away(uint32_t last, uint32_t error, std::string_view debug) {
  write_header(8 + debug.size(), kTypeGoaway, 0, 0);
  write_u32(last);
  write_u32(error);
  output_.insert(output_.end(), debug.begin(), debug.end());
}
void Connection::write_window_update(uint32_t id, uint32_t increment) {
  write_header(4, kTypeWindowUpdate, 0, id);
  write_u32(increment);
}

}  // namespace sluice::http2
