// Heads and chunk framing of HTTP/1.1 messages as they are sent. The twin of codecs/http1/encoder.ts.
#include <algorithm>
#include <charconv>

#include "http1.h"
#include "http1_chars.h"

namespace sluice::http1 {

using namespace layout;
using namespace rules;

namespace {

[[nodiscard]] std::string_view text(const uint8_t* data, int32_t start, int32_t bytes) noexcept {
  return bytes <= 0 ? std::string_view{} : std::string_view{reinterpret_cast<const char*>(data) + start, static_cast<size_t>(bytes)};
}

/// Reason phrases by status, for a look-up without a search.
constexpr std::array<std::string_view, 1000> kReasonTable = [] {
  std::array<std::string_view, 1000> table{};
  for (const auto& [status, reason] : kReasons) table[static_cast<size_t>(status)] = reason;
  return table;
}();

/// Fills a buffer that was made large enough beforehand.
class Writer {
 public:
  explicit Writer(uint8_t* at) noexcept : at_(at) {}
  void put(std::string_view bytes) noexcept {
    if (bytes.empty()) return;
    std::memcpy(at_, bytes.data(), bytes.size());
    at_ += bytes.size();
  }
  void number(uint64_t value) noexcept { at_ = reinterpret_cast<uint8_t*>(std::to_chars(chars(), chars() + 20, value).ptr); }
  [[nodiscard]] uint8_t* at() const noexcept { return at_; }

 private:
  [[nodiscard]] char* chars() const noexcept { return reinterpret_cast<char*>(at_); }
  uint8_t* at_;
};

/// Our own lines and separators never take more.
constexpr size_t kOwnBytes = 256;

/// `content-TYPE` -> `Content-Type`: a capital at the start and after every byte that is no letter and no digit.
void proper_case_lines(uint8_t* at, const uint8_t* end) noexcept {
  bool in_name = true;
  bool capital = true;
  for (; at < end; at++) {
    const uint8_t c = *at;
    if (c == '\n') {
      in_name = capital = true;
    } else if (c == ':') {
      in_name = false;
    } else if (in_name) {
      if (is_alpha(c)) *at = static_cast<uint8_t>(capital ? c & ~0x20 : c | 0x20);
      capital = !is_alpha(c) && !is_digit(c);
    }
  }
}

struct Head {
  std::span<const int32_t> table;
  const uint8_t* base;
  std::span<const int32_t> edits;
  const uint8_t* edit_bytes;

  [[nodiscard]] int32_t word(int index) const noexcept { return table.empty() ? 0 : table[static_cast<size_t>(index)]; }
  [[nodiscard]] int32_t edit(int index) const noexcept { return edits.empty() ? 0 : edits[static_cast<size_t>(index)]; }
  /// The replacement at an edit word; nullopt-like: bytes < 0.
  [[nodiscard]] bool replaces(int bytes_word) const noexcept { return !edits.empty() && edit(bytes_word) >= 0; }
  [[nodiscard]] std::string_view edited(int start_word) const noexcept { return text(edit_bytes, edit(start_word), edit(start_word + 1)); }
  [[nodiscard]] std::string_view received(int start_word) const noexcept { return text(base, word(start_word), word(start_word + 1)); }
};

void write_request_line(const Head& head, Writer& out) noexcept {
  out.put(head.replaces(kEditMethodBytes) ? head.edited(kEditMethod) : head.received(kHeadMethod));
  out.put(" ");
  if (head.replaces(kEditTargetBytes)) {
    out.put(head.edited(kEditTarget));
  } else if ((head.word(kHeadFlags) & kFlagAbsoluteForm) != 0) {
    // To an origin server: origin form (RFC 9112 §3.2.1), or asterisk form for OPTIONS without a path (§3.2.4).
    const std::string_view path = head.received(kHeadPath);
    if (path.empty()) {
      out.put(head.received(kHeadMethod) == "OPTIONS" ? "*" : "/");
    } else {
      if (path.front() == '?') out.put("/");
      out.put(path);
    }
  } else {
    out.put(head.received(kHeadTarget));
  }
  out.put(" HTTP/1.1\r\n");
}

void write_status_line(const Head& head, int32_t status, Writer& out) noexcept {
  out.put("HTTP/1.1 ");
  out.number(static_cast<uint64_t>(status));
  out.put(" ");
  if (head.replaces(kEditMethodBytes)) {
    out.put(head.edited(kEditMethod));
  } else if (head.edit(kEditStatus) != 0 || head.table.empty() || (head.word(kHeadFlags) & kFlagHttp2) != 0) {  // HTTP/2 has no reason phrase
    if (status >= 0 && status < 1000) out.put(kReasonTable[static_cast<size_t>(status)]);
  } else {
    out.put(head.received(kHeadMethod));
  }
  out.put("\r\n");
}

}  // namespace

void write_head(std::span<const int32_t> table, const uint8_t* base, std::span<const int32_t> edits, const uint8_t* edit_bytes, const OutHead& how,
                std::vector<uint8_t>& out) {
  const Head head{table, base, edits, edit_bytes};
  const int32_t changes = head.edit(kEditCount);
  size_t most = kOwnBytes + static_cast<size_t>(head.word(kHeadHeadBytes)) + static_cast<size_t>(head.word(kHeadAuthorityBytes)) +
                static_cast<size_t>(std::max(head.edit(kEditAppendBytes), 0)) + static_cast<size_t>(head.word(kHeadCount)) * 2;
  for (const int index : {kEditMethodBytes, kEditTargetBytes}) most += static_cast<size_t>(std::max(head.edit(index), 0));
  for (int32_t i = 0; i < changes; i++) most += static_cast<size_t>(std::max(head.edit(kEditLines + i * kLineWords + 2), 0)) + 2;
  const size_t begin = out.size();
  out.resize(begin + most);
  Writer to(out.data() + begin);

  const bool is_response = table.empty() ? head.edit(kEditStatus) != 0 : (head.word(kHeadFlags) & kFlagResponse) != 0;
  const int32_t status = head.edit(kEditStatus) != 0 ? head.edit(kEditStatus) : head.word(kHeadStatus);
  if (is_response) {
    write_status_line(head, status, to);
  } else {
    write_request_line(head, to);
  }
  uint8_t* const lines = to.at();

  // RFC 9110 §8.6: no Content-Length in 1xx and 204.
  const bool may_have_length = !is_response || (status >= 200 && status != 204);
  const bool writes_length = may_have_length && how.content_length >= 0 && (how.framing == BodyFraming::kLength || how.framing == BodyFraming::kNone);
  bool wrote_length = false;
  const bool same_length =
      how.content_length >= 0 && static_cast<int64_t>(head.word(kHeadLengthHigh)) << 32 == (how.content_length & ~int64_t{0xffffffff}) &&
      static_cast<uint32_t>(head.word(kHeadLengthLow)) == static_cast<uint32_t>(how.content_length);

  // Lines that nobody changed and that follow each other leave in one copy: `run` is where it begins, `run_end` its last value's end.
  const int32_t count = head.word(kHeadCount);
  int32_t run = -1;
  int32_t run_end = 0;
  const auto flush = [&] {
    if (run < 0) return;
    to.put(text(base, run, run_end - run));
    to.put("\r\n");
    run = -1;
  };
  int32_t change = 0;
  for (int32_t index = 0; index < count; index++) {
    const int32_t* const field = table.data() + kHeadFields + index * kFieldWords;
    const int32_t name_bytes = field[1] & 0xffff;
    const int id = field[1] >> 16 & 0xff;
    bool edited = false;
    std::string_view value;
    if (change < changes && head.edit(kEditLines + change * kLineWords) == index) {
      const int32_t start = head.edit(kEditLines + change * kLineWords + 1);
      const int32_t bytes = head.edit(kEditLines + change * kLineWords + 2);
      change++;
      if (bytes < 0) continue;
      edited = true;
      value = text(edit_bytes, start, bytes);
    }
    if ((field[1] & kHopByHop) != 0 && !(how.upgrade && id == kKnownUpgrade)) continue;
    if (id == kKnownContentLength) {
      if (!writes_length || wrote_length) continue;
      wrote_length = true;
      // A plain number of the same value stays as it is; zeros in front might be read as octal by somebody.
      if (!same_length || (field[3] > 1 && base[field[2]] == '0')) {
        flush();
        to.put(text(base, field[0], name_bytes));
        to.put(": ");
        to.number(static_cast<uint64_t>(how.content_length));
        to.put("\r\n");
        continue;
      }
    } else if (edited || (id == kKnownHost && head.word(kHeadAuthorityBytes) > 0)) {
      flush();
      to.put(text(base, field[0], name_bytes));
      to.put(": ");
      to.put(edited ? value : head.received(kHeadAuthority));
      to.put("\r\n");
      continue;
    }
    if (run >= 0 && run_end + 2 != field[0]) flush();
    if (run < 0) run = field[0];
    run_end = field[2] + field[3];
  }
  flush();
  if (head.edit(kEditAppendBytes) > 0) to.put(head.edited(kEditAppend));
  if (writes_length && !wrote_length) {
    to.put("content-length: ");
    to.number(static_cast<uint64_t>(how.content_length));
    to.put("\r\n");
  }
  if (how.framing == BodyFraming::kChunked) to.put("transfer-encoding: chunked\r\n");
  if (how.upgrade) {
    to.put("connection: upgrade\r\n");
  } else if (how.close) {
    to.put("connection: close\r\n");
  } else if (how.keep_alive) {
    to.put("connection: keep-alive\r\n");
  }
  if ((head.edit(kEditFlags) & kEditFlagProperCase) != 0) proper_case_lines(lines, to.at());
  to.put("\r\n");
  out.resize(static_cast<size_t>(to.at() - out.data()));
}

void write_chunk_head(size_t bytes, std::vector<uint8_t>& out) {
  std::array<char, 18> line;
  char* end = std::to_chars(line.data(), line.data() + 16, bytes, 16).ptr;
  *end++ = '\r';
  *end++ = '\n';
  out.insert(out.end(), line.data(), end);
}

void write_last_chunk(std::string_view trailers, std::vector<uint8_t>& out) {
  constexpr std::string_view kZero = "0\r\n";
  out.insert(out.end(), kZero.begin(), kZero.end());
  out.insert(out.end(), trailers.begin(), trailers.end());
  out.push_back('\r');
  out.push_back('\n');
}

}  // namespace sluice::http1
