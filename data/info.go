package data

// SetInfo describes a data set for people.
type SetInfo struct {
	Name       string   `json:"name"`
	Title      string   `json:"title,omitempty"`
	License    string   `json:"license,omitempty"`
	Home       string   `json:"home,omitempty"`
	Train      int      `json:"train"` // samples
	Test       int      `json:"test"`  // samples
	Classes    int      `json:"classes"`
	ClassNames []string `json:"class_names,omitempty"`
	Channels   int      `json:"channels"`
	Height     int      `json:"height"`
	Width      int      `json:"width"`
	Files      []string `json:"files,omitempty"`   // that Fetch downloads
	Mirrors    []string `json:"mirrors,omitempty"` // that Fetch tries, in order
	// Where is "embedded" or the folder that Open reads from, "" where the set
	// is not on this machine yet.
	Where string `json:"where,omitempty"`
}

// List describes all known sets, as published, and says which are on this
// machine. It loads none.
func List() []SetInfo {
	infos := make([]SetInfo, len(known))
	for i := range known {
		infos[i] = known[i].info()
	}
	return infos
}

// Info describes one data set: a known one as published, one in a folder by
// loading it.
func Info(name string) (SetInfo, error) {
	if k := lookup(name); k != nil {
		return k.info(), nil
	}
	s, err := Open(name)
	if err != nil {
		return SetInfo{}, err
	}
	return SetInfo{Name: s.Name, Train: s.Train.N, Test: s.Test.N, Classes: s.Classes,
		Channels: s.Channels, Height: s.Height, Width: s.Width, Where: name}, nil
}

// info describes a known set.
func (k *knownSet) info() SetInfo {
	i := SetInfo{Name: k.name, Title: k.title, License: k.license, Home: k.home,
		Train: k.train, Test: k.test, Classes: len(k.classNames), ClassNames: k.classNames,
		Channels: k.channels, Height: k.height, Width: k.width, Mirrors: k.mirrors, Where: k.where()}
	for _, f := range k.files {
		i.Files = append(i.Files, f.name)
	}
	return i
}

// where returns the place that the set is read from, "" where there is none or
// nothing in it.
func (k *knownSet) where() string {
	_, src, err := locate(k.name)
	if err != nil {
		return ""
	}
	if _, err := findSet(src, k.prefix); err != nil {
		return ""
	}
	return src.where
}
