// HPACK (RFC 7541), the native twin of codecs/http2/hpack: pure C++, no N-API.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "head_layout.h"
#include "http1.h"
#include "http2_rules.h"

namespace sluice::hpack {

/// A fault of a message or of the connection; `kind` null: none. `offset` counts from the block's first byte.
struct Fault {
  const http2::rules::FaultKind* kind = nullptr;
  uint32_t offset = 0;
};

/// Decodes a Huffman-coded string to `out`, which has room for 8/5 of it and one byte more. Gives its length, or -1 for EOS inside or bad padding.
[[nodiscard]] int64_t huffman_decode(std::span<const uint8_t> bytes, uint8_t* out) noexcept;
/// Bytes that `text` takes when coded.
[[nodiscard]] size_t huffman_length(std::span<const uint8_t> text) noexcept;
/// Codes `text` to `out` and gives the end.
uint8_t* huffman_encode(std::span<const uint8_t> text, uint8_t* out) noexcept;

/// The entries of a dynamic table (RFC 7541 §2.3.2); see dynamic-table.ts. `word` is the owner's. An entry lies as the line that it becomes, `name: value`: the
/// decoder moves it with one copy.
class DynamicTable {
 public:
  /// Between a name and its value.
  static constexpr uint32_t kSeparatorBytes = 2;
  struct Entry {
    uint32_t start = 0;
    uint32_t name_bytes = 0;
    uint32_t value_bytes = 0;
    uint32_t word = 0;
  };
  explicit DynamicTable(uint32_t max_size) noexcept : max_size_(max_size) {}

  [[nodiscard]] uint32_t count() const noexcept { return count_; }
  [[nodiscard]] uint32_t size() const noexcept { return size_; }
  [[nodiscard]] uint32_t max_size() const noexcept { return max_size_; }
  /// Entries ever inserted, modulo 2^32.
  [[nodiscard]] uint32_t inserted() const noexcept { return inserted_; }
  /// The entry with this running number, which must be there.
  [[nodiscard]] const Entry& at(uint32_t number) const noexcept { return entries_[number & mask_]; }
  [[nodiscard]] std::span<const uint8_t> name(const Entry& entry) const noexcept { return {bytes_.data() + entry.start, entry.name_bytes}; }
  [[nodiscard]] std::span<const uint8_t> value(const Entry& entry) const noexcept {
    return {bytes_.data() + entry.start + entry.name_bytes + kSeparatorBytes, entry.value_bytes};
  }
  [[nodiscard]] std::span<const uint8_t> line(const Entry& entry) const noexcept {
    return {bytes_.data() + entry.start, entry.name_bytes + kSeparatorBytes + entry.value_bytes};
  }
  /// Evicts until the table fits.
  void resize(uint32_t max_size) noexcept;
  /// Adds an entry, whose bytes must not be the table's own. False: it is larger than the table, which is empty now.
  bool add(std::span<const uint8_t> name, std::span<const uint8_t> value, uint32_t word);
  /// The same with a line, whose name has so many bytes.
  bool add_line(std::span<const uint8_t> line, uint32_t name_bytes, uint32_t word);

 private:
  /// Makes the entry; gives where its line goes, or null where it is larger than the table.
  [[nodiscard]] uint8_t* place(uint32_t name_bytes, uint32_t value_bytes, uint32_t word);
  [[nodiscard]] uint32_t oldest() const noexcept { return inserted_ - count_; }
  void evict(uint32_t most) noexcept;
  void grow_entries();
  void make_room(uint32_t length);

  std::vector<uint8_t> bytes_;
  std::vector<Entry> entries_;
  uint32_t mask_ = 0;
  uint32_t inserted_ = 0;
  uint32_t count_ = 0;
  uint32_t size_ = 0;
  uint32_t max_size_;
  uint32_t tail_ = 0;
};

struct ListLimits {
  uint32_t max_head_bytes = 61440;
  uint32_t max_headers = 100;
  uint32_t max_target_bytes = 61440;
  http1::Underscores underscores = http1::Underscores::kAllow;
  bool extended_connect = false;
};

/// Decodes field blocks into head tables (head_layout.h). See codecs/http2/hpack/decoder.ts, which says how a head is laid out.
class Decoder {
 public:
  explicit Decoder(uint32_t max_table_bytes = http2::rules::kLimitDefaultTableSize) noexcept : table_(max_table_bytes), allowed_bytes_(max_table_bytes) {}

  /// The peer has acknowledged another SETTINGS_HEADER_TABLE_SIZE.
  void set_max_table_bytes(uint32_t bytes) noexcept;
  /// Decodes a block of a kind of `rules::kBlock*`. False: the compression of the connection is broken, `fault()` says how. True: there is a head; `fault()`
  /// may say what is wrong with the message.
  [[nodiscard]] bool decode(std::span<const uint8_t> block, int kind, const ListLimits& limits);
  [[nodiscard]] const Fault& fault() const noexcept { return fault_; }
  /// The head's table; offsets count from `bytes().data()`. Good until the next call.
  [[nodiscard]] std::span<const int32_t> table() const noexcept;
  [[nodiscard]] std::span<int32_t> words() noexcept { return ints_; }
  [[nodiscard]] std::span<const uint8_t> bytes() const noexcept { return {arena_.data(), tail_}; }
  [[nodiscard]] const DynamicTable& dynamic_table() const noexcept { return table_; }
  /// Lets go of the memory of the last head.
  void release() noexcept;

 private:
  struct Span {
    uint32_t start = 0;
    uint32_t bytes = 0;
  };
  [[nodiscard]] bool break_at(const http2::rules::FaultKind& kind, size_t at) noexcept;
  void fail(const http2::rules::FaultKind& kind, size_t at) noexcept;
  void fail(const http2::rules::FaultKind& kind) noexcept { fail(kind, field_); }
  [[nodiscard]] bool integer(uint8_t prefix, uint32_t& value) noexcept;
  [[nodiscard]] bool resize(uint32_t bytes) noexcept;
  /// What an index stands for: a name, a value, or both. `line`: of an entry of the dynamic table; empty otherwise.
  struct Found {
    std::span<const uint8_t> name;
    std::span<const uint8_t> value;
    std::span<const uint8_t> line;
    uint32_t info = 0;
  };
  [[nodiscard]] bool find(uint32_t index, Found& found) noexcept;
  [[nodiscard]] bool indexed(uint32_t index);
  [[nodiscard]] bool literal(uint32_t name_index, bool is_added, bool is_never);
  [[nodiscard]] bool string(uint32_t to, uint32_t& end);
  [[nodiscard]] bool counts(size_t name_bytes, size_t value_bytes, uint32_t info) noexcept;
  void reserve(size_t bytes);
  void take(uint32_t name_bytes, uint32_t value_bytes, uint32_t info, int32_t never);
  void commit(uint32_t line, uint32_t name_bytes, Span value, uint32_t id, int32_t bits);
  void keep(uint32_t end) noexcept;
  void pseudo(uint32_t pseudo, Span value, int32_t never);
  [[nodiscard]] bool take_length(Span value) noexcept;
  [[nodiscard]] bool take_host(Span value) noexcept;
  void take_crumb(Span value, int32_t never);
  void join_crumbs();
  void finish();
  [[nodiscard]] int32_t& word(int index) noexcept { return ints_[static_cast<size_t>(index)]; }
  [[nodiscard]] std::string_view text(int start_word) const noexcept;
  [[nodiscard]] std::string_view text(Span span) const noexcept { return {reinterpret_cast<const char*>(arena_.data()) + span.start, span.bytes}; }
  [[nodiscard]] bool has(uint32_t pseudo) const noexcept { return (pseudos_ >> pseudo & 1) != 0; }

  DynamicTable table_;
  Fault fault_;
  uint32_t allowed_bytes_;
  int64_t required_bytes_ = -1;  ///< the next block must take the table to this size at most; -1: it need not
  std::span<const uint8_t> block_;
  size_t at_ = 0;
  size_t field_ = 0;
  int kind_ = 0;
  ListLimits limits_;
  std::vector<uint8_t> arena_;
  std::vector<int32_t> ints_;
  std::vector<Span> crumbs_;
  uint32_t tail_ = 0;
  uint64_t list_bytes_ = 0;
  uint32_t fields_ = 0;
  uint32_t pseudos_ = 0;
  int32_t cookie_ = -1;
  bool has_regular_ = false;
};

/// How a head is written as a field block; see OutFields in codecs/http2/hpack/encoder.ts.
struct OutFields {
  int64_t content_length = -1;
  std::string_view scheme;
  bool upgrade = false;
};

/// Writes field blocks, appended to `out`. See codecs/http2/hpack/encoder.ts.
class Encoder {
 public:
  explicit Encoder(uint32_t own_bytes = http2::rules::kLimitDefaultTableSize);

  /// The peer's SETTINGS_HEADER_TABLE_SIZE.
  void set_peer_table_bytes(uint32_t bytes) noexcept;
  /// Begins a block: what `head`, `lines` and `trailers` do themselves.
  void begin(std::vector<uint8_t>& out);
  /// A head as it is sent on. Empty `table`: one is made from `edits`. Empty `edits`: as received.
  void head(std::span<const int32_t> table, const uint8_t* base, std::span<const int32_t> edits, const uint8_t* edit_bytes, const OutFields& how,
            std::vector<uint8_t>& out);
  /// Ready-made lines, each with its CRLF.
  void lines(std::string_view lines, std::vector<uint8_t>& out);
  /// The lines of a table.
  void trailers(std::span<const int32_t> table, const uint8_t* base, std::vector<uint8_t>& out);
  enum class Policy : uint8_t { kIndex, kNot, kNever, kIndexAnyway };
  /// A name in small letters: its hash, its first index in the static table (0: none), and what becomes of such fields.
  struct Name {
    std::string_view text;
    uint32_t hash = 0;
    uint8_t index = 0;
    Policy policy = Policy::kIndex;
    uint8_t recent = 0;  ///< where what was found last for this name is kept; 0: nowhere
  };
  /// One field; capitals of its name become small letters.
  void field(std::string_view name, std::string_view value, Policy policy, std::vector<uint8_t>& out);
  void field(const Name& name, std::string_view value, Policy policy, std::vector<uint8_t>& out);
  [[nodiscard]] bool is_head() const noexcept { return is_head_; }
  [[nodiscard]] bool is_connect() const noexcept { return is_connect_; }
  [[nodiscard]] const DynamicTable& dynamic_table() const noexcept { return table_; }

 private:
  struct Message;
  void request(const Message& message, const OutFields& how, std::vector<uint8_t>& out);
  void authority(const Message& message, std::vector<uint8_t>& out);
  [[nodiscard]] bool write_lines(const Message& message, int64_t content_length, std::vector<uint8_t>& out);
  void line(int id, std::string_view name, std::string_view value, Policy policy, std::vector<uint8_t>& out);
  void cookie(std::string_view value, Policy policy, std::vector<uint8_t>& out);
  void text(std::string_view lines, bool keeps_host, std::vector<uint8_t>& out);
  void content_length(int64_t value, std::vector<uint8_t>& out);
  [[nodiscard]] uint32_t find_recent(const Name& name, std::string_view value) const noexcept;
  void keep_recent(const Name& name, uint32_t index);
  [[nodiscard]] uint32_t find_pair(uint32_t hash, const Name& name, std::string_view value) const noexcept;
  [[nodiscard]] uint32_t find_name(const Name& name) const noexcept;
  [[nodiscard]] uint32_t age_of(uint32_t entry, uint32_t last) const noexcept;
  void add(const Name& name, uint32_t pair_hash, std::string_view value);

  DynamicTable table_;
  uint32_t own_bytes_;
  int64_t smallest_ = -1;
  int64_t last_ = -1;
  std::vector<uint8_t> name_;
  std::vector<uint32_t> by_name_;
  std::vector<uint32_t> by_pair_;
  std::vector<uint32_t> older_name_;
  std::vector<uint32_t> older_pair_;
  /// The pair that a name was found with last: most fields come again and again with the same value.
  struct Recent {
    bool is_static = false;
    uint32_t entry = 0;  ///< an index of the static table, or the number of an entry
  };
  std::vector<Recent> recent_;
  uint32_t mask_ = 0;
  bool is_head_ = false;
  bool is_connect_ = false;
};

}  // namespace sluice::hpack
