// As much of Android as the model's copy needs: files and assets, in a directory.

package android.content

import android.content.res.AssetManager
import java.io.File

class Context(val noBackupFilesDir: File, val assets: AssetManager)
