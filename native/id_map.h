// A map from stream ids to small values: open addressing over one array, where a value lies near its home in the order of homes (Robin Hood). Ids of one
// connection follow each other, so nearly all of them are at home, and none is looked for or moved far.
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
    const size_t at = place_of(id);
    return slots_[at].id == id ? &slots_[at].value : nullptr;
  }
  [[nodiscard]] const Value* find(uint32_t id) const noexcept { return const_cast<IdMap*>(this)->find(id); }
  /// The value of a new id, or of one that is there.
  Value& operator[](uint32_t id) {
    if (2 * (size_ + 1) > slots_.size()) grow();
    const size_t at = place_of(id);
    if (slots_[at].id == id) return slots_[at].value;
    size_++;
    insert_at(at, {id, Value{}});
    return slots_[at].value;
  }
  void erase(uint32_t id) noexcept {
    if (size_ == 0) return;
    size_t at = place_of(id);
    if (slots_[at].id != id) return;
    size_--;
    // What lies behind and is not at home moves up.
    for (size_t next = (at + 1) & mask(); slots_[next].id != 0 && distance(next) > 0; next = (next + 1) & mask()) {
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
  /// How far the id in a slot is from its home.
  [[nodiscard]] size_t distance(size_t at) const noexcept { return (at - home(slots_[at].id)) & mask(); }
  /// Where an id is, or is to be put.
  [[nodiscard]] size_t place_of(uint32_t id) const noexcept {
    size_t at = home(id);
    for (size_t far = 0; slots_[at].id != id && slots_[at].id != 0 && distance(at) >= far; far++) at = (at + 1) & mask();
    return at;
  }
  /// Puts a slot where it belongs; those from there on to the next gap move on.
  void insert_at(size_t at, Slot slot) {
    while (slots_[at].id != 0) {
      std::swap(slot, slots_[at]);
      at = (at + 1) & mask();
    }
    slots_[at] = std::move(slot);
  }
  void grow() {
    std::vector<Slot> before(slots_.empty() ? kFirst : 2 * slots_.size());
    std::swap(before, slots_);
    for (auto& slot : before) {
      if (slot.id != 0) insert_at(place_of(slot.id), std::move(slot));
    }
  }

  std::vector<Slot> slots_;
  size_t size_ = 0;
};

}  // namespace sluice
