"""Qt as PythonQt shows it, and the node selector."""

import pytest


class TestQt:
    def test_properties_are_attributes(self, host):
        import qt

        button = qt.QPushButton("Apply")
        button.text = "Cancel"
        button.enabled = False
        assert (button.text, button.enabled) == ("Cancel", False)

    def test_unknown_attributes_raise(self, host):
        import qt

        label = qt.QLabel()
        with pytest.raises(AttributeError):
            label.txt = "typo"
        with pytest.raises(AttributeError):
            _ = label.txt
        with pytest.raises(AttributeError):
            label.setText = "a slot cannot be set"
        with pytest.raises(AttributeError):
            _ = qt.Signal

    def test_signals_by_signature(self, host):
        import qt

        got = []
        button = qt.QPushButton()
        button.checkable = True
        button.connect("clicked(bool)", got.append)
        spin = qt.QSpinBox()
        spin.connect("valueChanged(int)", got.append)
        button.click()
        spin.value = 5
        assert got == [True, 5]
        assert button.disconnect("clicked(bool)", got.append)
        button.click()
        assert got == [True, 5]

    def test_a_connection_by_the_shorter_signature_holds_its_object_too(self, host):
        import gc
        import weakref

        import qt

        class Owner:
            def pressed(self):
                pass

        button, owner = qt.QPushButton(), Owner()
        button.connect("clicked()", owner.pressed)
        kept = weakref.ref(owner)
        del owner
        gc.collect()
        assert kept() is not None
        button.disconnect("clicked()", kept().pressed)
        gc.collect()
        assert kept() is None

    @pytest.mark.parametrize("by_text", [True, False])
    @pytest.mark.parametrize("end", ["disconnected", "sender deleted", "sender deleted with its parent"])
    def test_a_connection_holds_its_object_until_it_ends(self, host, by_text, end):
        import gc
        import weakref

        import qt

        from host import connections

        class Owner:
            def __init__(self, parent):
                self.timer = qt.QTimer(parent)
                if by_text:
                    self.timer.connect("timeout()", self.tick)
                else:
                    self.timer.timeout.connect(self.tick)

            def tick(self):
                pass

        before = len(connections.held())
        parent = qt.QObject()
        owner = Owner(parent)
        timer, kept = owner.timer, weakref.ref(owner)
        del owner
        gc.collect()
        assert kept() is not None and len(connections.held()) == before + 1
        if end == "disconnected" and by_text:
            timer.disconnect("timeout()", kept().tick)
        elif end == "disconnected":
            timer.timeout.disconnect(kept().tick)
        else:
            (timer if end == "sender deleted" else parent).delete()
        gc.collect()
        assert kept() is None and len(connections.held()) == before

    def test_what_stands_in_for_cpp_dies_with_its_last_reference(self, host):
        import gc
        import weakref

        import ctk

        widget = weakref.ref(ctk.ctkSliderWidget())
        gc.collect()
        assert widget() is None

    def test_the_shorter_signature_of_a_signal_calls_without_its_value(self, host):
        import qt

        got, button = [], qt.QPushButton()

        def add(value="its own"):
            got.append(value)

        button.connect("clicked()", add)
        button.click()
        button.connect("clicked(bool)", add)
        button.click()
        assert got == ["its own", "its own", False]
        assert button.disconnect("clicked()", add)
        button.click()
        assert got[3:] == [False]

    def test_unknown_signal_raises(self, host):
        import qt

        with pytest.raises(ValueError, match="does not exist"):
            qt.QPushButton().connect("clickd()", print)

    def test_timers_run(self, host):
        import qt

        ticks = []
        timer = qt.QTimer()
        timer.interval = 2
        timer.connect("timeout()", lambda: ticks.append(1))
        timer.start()
        qt.QTimer.singleShot(1, lambda: ticks.append("once"))
        host.wait_until(lambda: "once" in ticks and len(ticks) > 2, 5)
        timer.stop()

    def test_exceptions_in_slots_are_seen(self, host):
        import qt

        button = qt.QPushButton()
        button.connect("clicked()", lambda: 1 / 0)
        button.click()
        assert [type(error) for error in host.take_unhandled()] == [ZeroDivisionError]

    def test_many_calls_keep_the_interpreter_alive(self, host):
        import qt

        label = qt.QLabel()
        for index in range(20000):
            label.setText(str(index))
        assert label.text == "19999"


class TestNodeComboBox:
    def make(self, **settings):
        import slicer

        box = slicer.qMRMLNodeComboBox()
        box.nodeTypes = ["vtkMRMLScalarVolumeNode"]
        for name, value in settings.items():
            setattr(box, name, value)
        box.setMRMLScene(slicer.mrmlScene)
        return box

    def test_follows_the_scene(self, host):
        import slicer

        box = self.make(noneEnabled=True)
        changes = []
        box.connect("currentNodeChanged(vtkMRMLNode*)", changes.append)
        first = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "first")
        slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTableNode", "other")
        second = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "second")
        assert box.nodeCount() == 2
        assert box.currentNode() is None
        box.setCurrentNode(second)
        slicer.mrmlScene.RemoveNode(second)
        assert changes == [second, first]
        slicer.mrmlScene.Clear(0)
        assert box.currentNode() is None
        assert box.nodeCount() == 0
        assert changes[-1] is None

    def test_takes_the_first_node_where_none_is_not_offered(self, volume):
        assert self.make().currentNode() is volume
        assert self.make(noneEnabled=True).currentNode() is None

    def test_hidden_and_derived_nodes(self, host):
        import slicer

        hidden = slicer.mrmlScene.CreateNodeByClass("vtkMRMLScalarVolumeNode")
        hidden.UnRegister(None)
        hidden.SetHideFromEditors(True)
        slicer.mrmlScene.AddNode(hidden)
        slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode")
        assert self.make().nodeCount() == 1
        assert self.make(showChildNodeTypes=False).nodeCount() == 0
        assert self.make(showHidden=True).nodeCount() == 2
        assert self.make(hideChildNodeTypes=["vtkMRMLLabelMapVolumeNode"]).nodeCount() == 0

    def test_shows_new_names_and_makes_nodes(self, host, volume):
        box = self.make(addEnabled=True, renameEnabled=True)
        volume.SetName("renamed")
        texts = [box.comboBox().itemText(row) for row in range(box.comboBox().count)]
        assert "renamed" in texts
        assert any(text.startswith("Create new") for text in texts)
        row = next(i for i, text in enumerate(texts) if text.startswith("Create new"))
        box.comboBox().setCurrentIndex(row)
        box.comboBox().activated.emit(row)
        assert box.currentNode() is not volume
        assert box.currentNode().IsA("vtkMRMLScalarVolumeNode")

    def test_refuses_what_is_no_node(self, host):
        with pytest.raises(TypeError):
            self.make().setCurrentNode(3)
