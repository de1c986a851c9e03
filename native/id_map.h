// A map from stream ids to small values: open addressing over one array, since ids of one connection follow each other.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace sluice {

/// Keys are odd or even numbers from 1 on; 0 is no key. A value moves when others are added or erased: no pointer to one outlives that.
template <typename Value>
class IdMap {
 public:
  [[nodiscard]] size_t size() const noexcept { return size_; }
  [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
  [[nodiscard]] Value* find(uint32_t id) noexcept {
    if (size_ == 0) return nullptr;
    for (size_t at = home(id);; at = (at + 1) & mask()) {
      if (slots_[at].id == id) return &slots_[at].value;
      if (slots_[at].id == 0) return nullptr;
    }
  }
  [[nodiscard]] const Value* find(uint32_t id) const noexcept { return const_cast<IdMap*>(this)->find(id); }
  /// The value of a new id, or of one that is there.
  Value& operator[](uint32_t id) {
    if (2 * (size_ + 1) > slots_.size()) grow();
    size_t at = home(id);
    while (slots_[at].id != 0 && slots_[at].id != id) at = (at + 1) & mask();
    if (slots_[at].id == 0) {
      slots_[at].id = id;
      size_++;
    }
    return slots_[at].value;
  }
  void erase(uint32_t id) noexcept {
    if (size_ == 0) return;
    size_t at = home(id);
    while (slots_[at].id != id) {
      if (slots_[at].id == 0) return;
      at = (at + 1) & mask();
    }
    size_--;
    // What lies behind moves up, so that no gap cuts a search short.
    for (size_t next = (at + 1) & mask(); slots_[next].id != 0; next = (next + 1) & mask()) {
      if (((next - home(slots_[next].id)) & mask()) < ((next - at) & mask())) continue;
      slots_[at] = std::move(slots_[next]);
      at = next;
    }
    slots_[at] = {};
  }
  template <typename Visit>
  void each(Visit&& visit) {
    for (auto& slot : slots_) {
      if (slot.id != 0) visit(slot.id, slot.value);
    }
  }

 private:
  static constexpr size_t kFirst = 8;
  struct Slot {
    uint32_t id = 0;
    Value value{};
  };
  [[nodiscard]] size_t mask() const noexcept { return slots_.size() - 1; }
  /// Ids of one side are every other number.
  [[nodiscard]] size_t home(uint32_t id) const noexcept { return (id >> 1) & mask(); }
  void grow() {
    std::vector<Slot> before(slots_.empty() ? kFirst : 2 * slots_.size());
    std::swap(before, slots_);
    for (auto& slot : before) {
      if (slot.id == 0) continue;
      size_t at = home(slot.id);
      while (slots_[at].id != 0) at = (at + 1) & mask();
      slots_[at] = std::move(slot);
    }
  }

  std::vector<Slot> slots_;
  size_t size_ = 0;
};

}  // namespace sluice
