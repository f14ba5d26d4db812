import export_data
import table


def test_no_row_is_both_trained_on_and_held_out():
    train, heldout = export_data.split()
    assert not set(train) & set(heldout)
    assert len(train) + len(heldout) == 1797


def test_split_is_always_the_same():
    assert export_data.split() == export_data.split()
    assert len(export_data.split()[1]) == export_data.HELD_OUT


def test_files_are_read_back(tmp_path):
    export_data.main(tmp_path)
    ids, labels, pixels = table.read(tmp_path / "heldout.csv")
    assert len(ids) == len(set(ids)) == export_data.HELD_OUT
    assert set(labels) == set(range(10))
    assert pixels.shape == (export_data.HELD_OUT, 64)
    assert pixels.min() == 0 and pixels.max() == 16
