// Contiguous byte buffers whose usual block comes from a per-engine pool, so that an idle connection holds none.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <vector>

namespace sluice {

/// Recycles blocks of one size, last in first out (warm in the cache), and keeps at most `kMaxFree` of them.
class BlockPool {
 public:
  static constexpr size_t kBlockBytes = 16 * 1024;
  static constexpr size_t kMaxFree = 1024;
  using Block = std::unique_ptr<uint8_t[]>;

  [[nodiscard]] Block take() {
    if (free_.empty()) return std::make_unique_for_overwrite<uint8_t[]>(kBlockBytes);
    Block block = std::move(free_.back());
    free_.pop_back();
    return block;
  }
  void give(Block block) {
    if (free_.size() < kMaxFree) free_.push_back(std::move(block));
  }

 private:
  std::vector<Block> free_;
};

/// A queue of bytes in one piece. Empty: no memory.
class Buffer {
 public:
  explicit Buffer(BlockPool& pool) noexcept : pool_(&pool) {}

  [[nodiscard]] size_t size() const noexcept { return end_ - begin_; }
  [[nodiscard]] bool empty() const noexcept { return begin_ == end_; }
  [[nodiscard]] std::span<const uint8_t> bytes() const noexcept { return {block_.get() + begin_, size()}; }
  [[nodiscard]] const uint8_t* data() const noexcept { return block_.get() + begin_; }

  /// Room for at least `count` more bytes at the end.
  [[nodiscard]] std::span<uint8_t> room(size_t count) {
    reserve(count);
    return {block_.get() + end_, capacity_ - end_};
  }
  /// `count` bytes of the room have been filled.
  void filled(size_t count) noexcept { end_ += count; }
  void append(std::span<const uint8_t> bytes) {
    if (bytes.empty()) return;
    reserve(bytes.size());
    std::memcpy(block_.get() + end_, bytes.data(), bytes.size());
    end_ += bytes.size();
  }
  void consume(size_t count) noexcept {
    begin_ += count;
    if (begin_ == end_) clear();
  }
  /// Forgets all bytes and gives the memory back.
  void clear() noexcept {
    begin_ = end_ = 0;
    if (capacity_ == BlockPool::kBlockBytes) pool_->give(std::move(block_));
    block_.reset();
    capacity_ = 0;
  }

 private:
  void reserve(size_t count) {
    if (capacity_ - end_ >= count) return;
    const size_t held = size();
    if (capacity_ - held >= count && begin_ >= capacity_ / 2) {
      std::memmove(block_.get(), block_.get() + begin_, held);
    } else {
      size_t wanted = BlockPool::kBlockBytes;
      while (wanted < held + count) wanted *= 2;
      auto larger = wanted == BlockPool::kBlockBytes ? pool_->take() : std::make_unique_for_overwrite<uint8_t[]>(wanted);
      if (held > 0) std::memcpy(larger.get(), block_.get() + begin_, held);
      if (capacity_ == BlockPool::kBlockBytes) pool_->give(std::move(block_));
      block_ = std::move(larger);
      capacity_ = wanted;
    }
    begin_ = 0;
    end_ = held;
  }

  BlockPool* pool_;
  BlockPool::Block block_;
  size_t begin_ = 0;
  size_t end_ = 0;
  size_t capacity_ = 0;
};

}  // namespace sluice
