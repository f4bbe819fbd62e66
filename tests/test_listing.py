from glimpse.listing import Listing
from glimpse.values import Failure, Item


def item(key, size=1, **metadata):
    return Item(key, size, 2, ("folder", key, 3), metadata)


def test_items_come_back_as_they_were_once_and_in_order():
    found = [item("b", title="鳥", odd="\udcff"), item("a"), item("b", 7), Failure("c", "unreadable", "")]
    listing = Listing(found)
    assert list(listing) == found[:2]
    assert len(listing) == 3
    assert "a" in listing
    assert "c" in listing
    assert "d" not in listing
    assert listing.failures == {"c": found[3]}
    listing.close()


def test_more_than_a_page(monkeypatch):
    monkeypatch.setattr("glimpse.listing._PAGE", 3)
    monkeypatch.setattr("glimpse.listing._TOLD_EVERY", 4)
    told = []
    listing = Listing((item(str(n)) for n in range(10)), told.append)
    assert [one.key for one in listing] == [str(n) for n in range(10)]
    assert told == [4, 8]
    listing.remove(lambda key: key != "30", "3")
    assert len(list(listing)) == len(listing) == 9


def test_what_failed_to_be_listed_and_was_found_after_all_is_no_failure():
    listing = Listing([Failure("a", "vanished", ""), item("a")])
    assert listing.failures == {}
    assert len(listing) == 1
